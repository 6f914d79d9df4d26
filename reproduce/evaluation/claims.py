"""The rows of a table of claims that decide, for verify, README and report."""

from pathlib import Path

from reproduce.utils.files import read_csv

CLAIM_KEY = ["claim", "of", "minus", "measure"]
"""Columns that name a row."""
COMPARED = ["judge", "seeds", "effect", "effect_low", "effect_high", "verdict"]
"""Columns with what was measured."""


def primary_claims(tables: Path) -> list[dict[str, str]]:
    """Return the deciding rows of claims.csv."""
    return [row for row in read_csv(tables / "claims.csv") if row["role"] == "primary"]
