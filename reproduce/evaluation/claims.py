"""The rows of a table of claims that decide, for verify, README and report."""

from pathlib import Path

from reproduce.evaluation.formatting import percent
from reproduce.utils.files import read_csv

CLAIM_KEY = ["claim", "of", "minus", "measure"]
"""Columns that name a row."""
COMPARED = ["judge", "seeds", "effect", "effect_low", "effect_high", "verdict"]
"""Columns with what was measured."""


def primary_claims(tables: Path) -> list[dict[str, str]]:
    """Return the deciding rows of claims.csv."""
    return [row for row in read_csv(tables / "claims.csv") if row["role"] == "primary"]


def verdict_meanings(minimum_effect: float, confidence: float) -> str:
    """Return what each verdict means, for the reader of a page."""
    return (
        f"Supported: the effect is at least {percent(minimum_effect)} of the metric's range, and "
        "its p-value, adjusted for the number of deciding comparisons (Holm), is below "
        f"{1 - confidence:.2g}. Ruled out: the whole interval excludes such an effect. "
        "Inconclusive: neither. Depends on the metric: a second metric of faithfulness, "
        '"faithful and answers", says otherwise. Not testable: a model that should be better by '
        "design is not."
    )
