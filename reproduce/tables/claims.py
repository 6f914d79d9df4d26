"""The claims of the paper's abstract, each as one difference with a verdict."""

from typing import Any

from reproduce.results import (
    BASE,
    BOTH,
    FAITHFULNESS,
    INSTRUCTION,
    MTL,
    RESET,
    RESET_S,
    Measure,
    Results,
)
from reproduce.statistics import Interval
from reproduce.tables.arms import note
from reproduce.tables.render import Table

IF, CD, CD_IF, IF_CD = "two-stage/IF", "two-stage/CD", "two-stage/CD-IF", "two-stage/IF-CD"

CLAIMS: tuple[tuple[str, str, str, Measure, str, bool], ...] = (
    ("IF tuning lowers faithfulness", CD_IF, CD, FAITHFULNESS, "below 0", True),
    ("IF tuning lowers faithfulness", IF, BASE, FAITHFULNESS, "below 0", False),
    ("CD tuning lowers instruction following", IF_CD, IF, INSTRUCTION, "below 0", True),
    ("MTL is far from both specialists", MTL, IF, INSTRUCTION, "below 0", True),
    ("MTL is far from both specialists", MTL, CD, FAITHFULNESS, "below 0", True),
    ("ReSet beats MTL", RESET, MTL, BOTH, "above 0", True),
    ("ReSet beats MTL", RESET, MTL, INSTRUCTION, "above 0", False),
    ("ReSet beats MTL", RESET, MTL, FAITHFULNESS, "above 0", False),
    ("ReSet-S beats ReSet with less data", RESET_S, RESET, BOTH, "above 0", True),
    ("ReSet-S beats ReSet with less data", RESET_S, RESET, INSTRUCTION, "above 0", False),
    ("ReSet-S beats ReSet with less data", RESET_S, RESET, FAITHFULNESS, "above 0", False),
)
"""Claim, arm, the arm it is compared with, measure, claimed direction, primary or shown too."""


def verdict(interval: Interval, direction: str) -> str:
    """Return what an interval says of a claim that a difference is "below 0" or "above 0".

    "supported" if the whole interval is on the claimed side of 0, "not supported" if the whole
    interval is on the other side, else "undecided". An interval that touches 0 is undecided.
    """
    side = "above 0" if interval.low > 0 else "below 0" if interval.high < 0 else ""
    if not side:
        return "undecided"
    return "supported" if side == direction else "not supported"


def claims(results: Results) -> Table:
    """Return a row a difference that a claim is about, with the verdict on it."""
    rows = [_row(results, *claim) for claim in CLAIMS]
    headers = {
        "claim": "Claim", "comparison": "Difference", "measure": "Measure", "role": "Role",
        "direction": "Claimed", "effect": "Effect", "judge": "Judged by",
        "n": "Prompts", "seeds": "Seeds",
        "examples": "Training examples", "verdict": "Verdict",
    }  # fmt: skip
    rule = (
        "Supported: the whole interval lies on the claimed side of 0; not supported: wholly on "
        "the other side; else undecided. No correction for the number of comparisons"
    )
    what = "The claims of the paper's abstract, each as a paired difference of two arms"
    return Table("claims", f"{what}. {rule}. {note(results, rows)}", headers, rows)


def _row(
    results: Results, claim: str, arm: str, other: str, measure: Measure, side: str, primary: bool
) -> dict[str, Any]:
    found = results.estimate(measure, arm, against=other)
    sizes = (results.examples(key) for key in (arm, other))
    return {
        "claim": claim,
        "comparison": f"{_term(results, arm)} − {_term(results, other)}",
        "measure": measure.title,
        "role": "primary" if primary else "shown too",
        "direction": side,
        "effect": found,
        "judge": _judge(results, measure),
        "n": found.interval.prompts if found else 0,
        "seeds": len(results.seeds),
        "examples": " against ".join(f"{size:.0f}" for size in sizes),
        "verdict": verdict(found.interval, side) if found else "undecided",
    }


def _judge(results: Results, measure: Measure) -> str:
    """Return which measures carry a claim, as the table of the judges names them."""
    sets: dict[str, list[str]] = {}
    for name, carrier in results.carriers.items():
        sets.setdefault(carrier, []).append(name)
    faithful = "; ".join(f"{carrier} ({', '.join(names)})" for carrier, names in sets.items())
    named = {INSTRUCTION: "instruction_strict", FAITHFULNESS: faithful}
    named[BOTH] = f"{named[INSTRUCTION]}; {faithful}"
    return named[measure]


def _term(results: Results, key: str) -> str:
    label = results.labels[key]
    return f"({label})" if " " in label else label
