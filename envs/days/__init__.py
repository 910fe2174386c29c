"""Days: what they are, the files they are read from, the generators that draw them, scenarios and streams of them."""
