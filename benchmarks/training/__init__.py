"""Training: the compiled program, the trainer, its checkpoints and results."""
