"""A tiny generated world: people, what is true of them, and tasks about them."""
