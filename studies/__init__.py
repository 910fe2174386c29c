"""Long studies: every one a command that can be stopped and taken up again; see ``make help``."""
