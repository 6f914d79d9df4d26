"""The claims of the paper, each as paired differences of two arms with a verdict."""

from typing import Literal

from reproduce.bootstrap import Interval
from reproduce.config import Claims, Difference
from reproduce.evaluation.results import (
    BASE,
    BOTH,
    FAITHFULNESS,
    INSTRUCTION,
    METRICS,
    TASK,
    Metric,
    Results,
)
from reproduce.evaluation.tables.render import Table, TableRow, note_on_intervals
from reproduce.utils.formatting import percent

Verdict = Literal["supported", "not supported", "undecided"]

CLAIM_METRICS = {"both": BOTH, **METRICS}


def verdict(interval: Interval, direction: str, minimum_effect: float) -> Verdict:
    """Return what an interval means for a claim that a difference is "below 0" or "above 0".

    "supported" if the whole interval is on the claimed side of 0 and the mean is at least
    `minimum_effect`; "not supported" if the whole interval rules out an effect of
    `minimum_effect` on that side; else "undecided".
    """
    sign = 1 if direction == "above 0" else -1
    low, high = sorted((sign * interval.low, sign * interval.high))
    if low > 0 and sign * interval.mean >= minimum_effect:
        return "supported"
    return "not supported" if high < minimum_effect else "undecided"


def claims(results: Results, tested: Claims) -> Table:
    """Return one row per difference that a claim is about, if both arms have results."""
    rows: list[TableRow] = []
    for claim in tested.claims.values():
        for difference in claim.differences:
            metric, arms = CLAIM_METRICS[difference.metric], (difference.arm, difference.against)
            if not results.arms.keys() >= set(arms):
                continue
            effect = results.estimate(metric, *arms)
            minimum = tested.minimum_effect * (1 - results.lowest(metric))
            decided = verdict(effect.interval, difference.direction, minimum) if effect else None
            rows.append({
                "claim": claim.claim, "of": difference.arm, "minus": difference.against,
                "source": f"{claim.source} ({claim.label})",
                "comparison": comparison(results, difference),
                # "IF" would be taken for the arm next to it.
                "measure": "Instruction following" if metric is INSTRUCTION else metric.title,
                "base": results.estimate(metric, BASE) if BASE in results.arms else None,
                "role": "primary" if difference in claim.primary else "secondary",
                "direction": difference.direction, "effect": effect,
                "judge": _judges(results, metric),
                "n": effect.interval.prompts if effect else 0, "seeds": len(results.seeds),
                "examples": " against ".join(f"{results.num_examples(arm):.0f}" for arm in arms),
                "smallest": f"{minimum:g}",
                "verdict": decided or "undecided",
            })  # fmt: skip
    headers = {
        "claim": "Claim", "comparison": "Difference", "measure": "Metric", "role": "Role",
        "direction": "Claimed", "effect": "Effect", "smallest": "Minimum effect",
        "verdict": "Verdict", "base": "Score of Base", "examples": "Examples of the last stage",
    }  # fmt: skip
    share = percent(tested.minimum_effect)
    scale = "; faithfulness runs from -1 to 1" if results.lowest(FAITHFULNESS) < 0 else ""
    return Table(
        "claims", rows, headers,
        "Verdicts on the paper's claims",
        "Each claim as paired differences of two arms; primary ones decide it.",
        ("Supported: the whole interval is on the claimed side of 0, and the effect is at least "
         f"the minimum effect ({share} of the metric's range{scale}). Not supported: the whole "
         "interval rules out such an effect. Undecided: neither.",
         "No correction for the number of comparisons.", note_on_intervals(results, rows)),
    )  # fmt: skip


def comparison(results: Results, difference: Difference) -> str:
    """Return "(CD → IF) − CD": the labels of the two arms."""
    labels = [results.labels[arm] for arm in (difference.arm, difference.against)]
    return " − ".join(f"({label})" if " " in label else label for label in labels)


def _judges(results: Results, metric: Metric) -> str:
    """Return which scores a metric consists of, as the table of the judges names them."""
    if metric is TASK:
        return "token_f1; rouge_l"
    sets: dict[str, list[str]] = {}
    for name, score in results.faithfulness_metrics.items():
        sets.setdefault(score, []).append(name)
    faithfulness = "; ".join(f"{score} ({', '.join(names)})" for score, names in sets.items())
    instruction = "rating" if results.has_ratings else "instruction_strict"
    parts = {INSTRUCTION: instruction, FAITHFULNESS: faithfulness}
    return parts.get(metric, f"{instruction}; {faithfulness}")
