"""Judges: task performance, faithfulness and instruction following of a response."""
