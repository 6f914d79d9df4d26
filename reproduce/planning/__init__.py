"""What a large run takes, and whether this machine can do it."""
