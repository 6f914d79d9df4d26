"""Results of all arms, and the tables made of them."""
