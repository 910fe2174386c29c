"""Training runs: rl-zoo3's experiment manager made to fit dispatch days, with callbacks, checkpoints and metrics."""
