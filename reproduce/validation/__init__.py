"""The judges of a profile: their training, and how well they tell right from wrong."""
