"""Training and evaluation sets: made from the synthetic task, or read from public text."""
