"""Public real text: fetched, checked, parsed, split by group, given verifiable instructions."""
