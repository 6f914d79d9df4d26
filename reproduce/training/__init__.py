"""Training: rows, batches, the trainer, and runs that a launcher carries out."""
