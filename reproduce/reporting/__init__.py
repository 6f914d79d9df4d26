"""Figures, the README and the report, from published tables."""
