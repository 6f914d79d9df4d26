"""The claims of the paper, each as differences of two arms with a verdict."""

from typing import Any

from reproduce.bootstrap import Interval
from reproduce.config import Claim, Claims, Difference
from reproduce.evaluation.results import (
    BASE,
    BOTH,
    FAITHFULNESS,
    INSTRUCTION,
    TASK,
    Measure,
    Results,
)
from reproduce.evaluation.tables.arms import note
from reproduce.evaluation.tables.render import Table
from reproduce.utils.formatting import percent

MEASURES = {measure.name: measure for measure in (INSTRUCTION, FAITHFULNESS, TASK, BOTH)}
TITLES = {measure.name: measure.title for measure in MEASURES.values()}
TITLES[INSTRUCTION.name] = "Instruction following"
"""Measures by their name to a reader; "IF" would be taken for the arm beside it."""


def verdict(interval: Interval, direction: str, smallest: float) -> str:
    """Return what an interval says of a claim that a difference is "below 0" or "above 0".

    "supported" if the whole interval is on the claimed side of 0 and the mean is at least
    `smallest`; "not supported" if the whole interval rules out an effect of `smallest` on that
    side; else "undecided".
    """
    sign = 1 if direction == "above 0" else -1
    least, most = sorted((sign * interval.low, sign * interval.high))
    if least > 0 and sign * interval.mean >= smallest:
        return "supported"
    return "not supported" if most < smallest else "undecided"


def claims(results: Results, asked: Claims) -> Table:
    """Return a row a difference that a claim is about, with the verdict on it."""
    rows = [
        _row(results, claim, difference, role, asked.smallest_effect)
        for claim in asked.claims
        for role, group in (("primary", claim.decided_by), ("shown too", claim.shown_too))
        for difference in group
    ]
    headers = {
        "claim": "Claim", "source": "Known from", "comparison": "Difference",
        "measure": "Measure", "base": "Without tuning", "role": "Role",
        "direction": "Claimed", "effect": "Effect", "judge": "Judged by", "n": "Prompts",
        "seeds": "Seeds", "examples": "Examples of the last stage", "smallest": "Counts from",
        "verdict": "Verdict",
    }  # fmt: skip
    signed = (
        "; faithfulness by entailment runs from -1 to 1, for its mean with IF it is brought to 0 "
        "to 1" if results.lowest(FAITHFULNESS) < 0 else ""
    )  # fmt: skip
    rule = (
        "Supported: the whole interval lies on the claimed side of 0, and the effect is one that "
        f"counts ({percent(asked.smallest_effect)} of the measure's range or more{signed}); not "
        "supported: the whole interval rules such an effect out; else undecided. No correction "
        "for the number of comparisons"
    )
    what = "The claims of the paper, each as a paired difference of two arms"
    return Table("claims", f"{what}. {rule}. {note(results, rows)}", headers, rows)


def _row(
    results: Results, claim: Claim, difference: Difference, role: str, smallest: float
) -> dict[str, Any]:
    measure = MEASURES[difference.measure]
    pair = (difference.arm, difference.against)
    found = results.estimate(measure, difference.arm, against=difference.against)
    counts = smallest * (1 - results.lowest(measure))
    return {
        "claim": claim.claim,
        "of": difference.arm,
        "minus": difference.against,
        "source": f"{claim.source} ({claim.label})",
        "comparison": comparison(results, difference),
        "measure": TITLES[measure.name],
        "base": results.estimate(measure, BASE) if BASE in results.arms else None,
        "role": role,
        "direction": difference.direction,
        "effect": found,
        "judge": _judge(results, measure),
        "n": found.interval.prompts if found else 0,
        "seeds": len(results.seeds),
        "examples": " against ".join(f"{results.examples(key):.0f}" for key in pair),
        "smallest": f"{counts:g}",
        "verdict": verdict(found.interval, difference.direction, counts)
        if found else "undecided",
    }  # fmt: skip


def _judge(results: Results, measure: Measure) -> str:
    """Return which measures carry a claim, as the table of the judges names them."""
    if measure is TASK:
        return "token_f1; rouge_l"
    sets: dict[str, list[str]] = {}
    for name, carrier in results.carriers.items():
        sets.setdefault(carrier, []).append(name)
    faithful = "; ".join(f"{carrier} ({', '.join(names)})" for carrier, names in sets.items())
    followed = "rating" if results.rated else "instruction_strict"
    named = {INSTRUCTION: followed, FAITHFULNESS: faithful}
    named[BOTH] = f"{named[INSTRUCTION]}; {faithful}"
    return named[measure]


def comparison(results: Results, difference: Difference) -> str:
    """Return "(CD → IF) − CD": the labels of the two arms."""
    labels = [results.labels[key] for key in (difference.arm, difference.against)]
    return " − ".join(f"({label})" if " " in label else label for label in labels)
