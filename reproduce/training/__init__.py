"""Training: the order of the rows, the trainer, and runs in a launcher."""
