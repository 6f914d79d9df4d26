"""The claims of the paper, each as paired differences of two arms with a verdict; predictions."""

from collections.abc import Sequence
from typing import Literal

from reproduce.config import Claims, Difference, Pair
from reproduce.evaluation.claims import verdict_meanings
from reproduce.evaluation.results import (
    BASE,
    BOTH,
    BOTH_ANSWER,
    FAITHFUL_ANSWER,
    FAITHFULNESS,
    INSTRUCTION,
    METRICS,
    TASK,
    Estimate,
    Metric,
    Results,
)
from reproduce.evaluation.tables.render import Table, TableRow, note_on_intervals
from reproduce.intervals import Interval, holm

Verdict = Literal[
    "supported", "ruled out", "inconclusive", "depends on the metric", "not testable"
]  # fmt: skip

CLAIM_METRICS = {"both": BOTH, **METRICS}
SECOND_METRICS = {FAITHFULNESS: FAITHFUL_ANSWER, BOTH: BOTH_ANSWER}
"""The metric that must agree with the first one."""


def verdict(interval: Interval, p: float, difference: Difference, minimum: float, level: float
            ) -> Verdict:  # fmt: skip
    """Return what an interval means for a claim that a difference is "below 0" or "above 0".

    "supported" if the mean is at least `minimum` on the claimed side and `p`, adjusted for the
    number of comparisons, below 1 - `level`; "ruled out" if the whole interval excludes an effect
    of `minimum` on that side; else "inconclusive".
    """
    sign = 1 if difference.direction == "above 0" else -1
    if sign * interval.mean >= minimum and p < 1 - level:
        return "supported"
    highest = max(sign * interval.low, sign * interval.high)
    return "ruled out" if highest < minimum else "inconclusive"


def claims(results: Results, tested: Claims) -> Table:
    """Return one row per difference that a claim is about, if both arms have results."""
    compared = [
        (claim, difference)
        for claim in tested.claims.values()
        for difference in claim.differences
        if results.arms.keys() >= {difference.arm, difference.against}
    ]
    differences = [difference for _, difference in compared]
    is_primary = [difference in claim.primary for claim, difference in compared]
    effects, adjusted, verdicts = _verdicts(results, differences, is_primary, tested, second=False)
    others, _, second = _verdicts(results, differences, is_primary, tested, second=True)
    rows: list[TableRow] = []
    for n, (claim, difference) in enumerate(compared):
        metric, effect = CLAIM_METRICS[difference.metric], effects[n]
        decided: str = verdicts[n] if verdicts[n] == second[n] else "depends on the metric"
        needed = {arm for each in claim.requires for arm in (each.arm, each.against)}
        if missing := needed - results.arms.keys():
            # A part of the study has no verdict yet.
            decided = f"needs {', '.join(sorted(missing))}"
        elif not all(_holds(results, each) for each in claim.requires):
            decided = "not testable"
        arms = (difference.arm, difference.against)
        rows.append({
            "claim": claim.claim, "of": difference.arm, "minus": difference.against,
            "source": f"{claim.source} ({claim.label})",
            "comparison": comparison(results, difference),
            # "IF" would be taken for the arm next to it.
            "measure": "Instruction following" if metric is INSTRUCTION else metric.title,
            "base": results.estimate(metric, BASE) if BASE in results.arms else None,
            "role": "primary" if is_primary[n] else "secondary",
            "direction": difference.direction, "effect": effect,
            "second": others[n] if metric in SECOND_METRICS else None,
            "p": adjusted[n], "judge": _judges(results, metric),
            "n": effect.interval.prompts if effect else 0, "seeds": len(results.seeds),
            "steps": " against ".join(
                "–" if steps is None else f"{steps:.0f}" for steps in map(results.total_steps, arms)
            ),
            "smallest": f"{tested.minimum_effect:g}",
            "verdict": decided,
        })  # fmt: skip
    headers = {
        "claim": "Claim", "comparison": "Difference", "measure": "Metric", "role": "Role",
        "direction": "Claimed", "effect": "Effect", "second": "Faithful and answers", "p": "p",
        "verdict": "Verdict", "base": "Score of Base", "steps": "Steps",
    }  # fmt: skip
    shown = dict.fromkeys(str(row["claim"]) for row in rows)
    requirements = {claim.claim: [f"{comparison(results, r)} in {CLAIM_METRICS[r.metric].title}"
                                  for r in claim.requires]
                    for claim in tested.claims.values()
                    if claim.requires and claim.claim in shown}  # fmt: skip
    return Table(
        "claims", rows, headers,
        "Verdicts on the paper's claims",
        "Each claim as paired differences of two arms; primary ones decide it.",
        (verdict_meanings(tested.minimum_effect, results.confidence),
         "p: the adjusted p-value, of primary differences. Steps: from the pretrained model on.",
         *(f"{claim} is testable if above 0: {', '.join(names)}."
           for claim, names in requirements.items()),
         note_on_intervals(results, rows)),
    )  # fmt: skip


def _verdicts(
    results: Results, differences: Sequence[Difference], is_primary: Sequence[bool],
    tested: Claims, second: bool,
) -> tuple[list[Estimate | None], list[float | None], list[Verdict]]:  # fmt: skip
    """Return per difference its effect, its p-value and its verdict, by the first or second metric.

    The p-values of primary differences are adjusted for their number.
    """
    effects: list[Estimate | None] = []
    for difference in differences:
        metric = CLAIM_METRICS[difference.metric]
        if second and (other := SECOND_METRICS.get(metric)) and results.datasets(other):
            metric = other
        effects.append(results.estimate(metric, difference.arm, difference.against))
    places = [n for n, effect in enumerate(effects) if effect and is_primary[n]]
    raw = [effect.interval.p if effect else None for effect in effects]
    adjusted = dict(zip(places, holm([raw[n] or 0.0 for n in places]), strict=True))
    p_values = [adjusted.get(n, p) for n, p in enumerate(raw)]
    verdicts: list[Verdict] = [
        verdict(effect.interval, p, difference, tested.minimum_effect, results.confidence)
        if effect and p is not None else "inconclusive"
        for effect, p, difference in zip(effects, p_values, differences, strict=True)
    ]  # fmt: skip
    return effects, p_values, verdicts


def _holds(results: Results, needed: Difference) -> bool:
    """Return whether the interval of a difference is on its claimed side of 0."""
    effect = results.estimate(CLAIM_METRICS[needed.metric], needed.arm, needed.against)
    if effect is None:
        return False
    interval = effect.interval
    return interval.low > 0 if needed.direction == "above 0" else interval.high < 0


def predictions(results: Results) -> Table:
    """Return what was predicted of this profile before its runs, and what was measured."""
    rows: list[TableRow] = []
    for name, predicted in results.study.predictions.items():
        if not results.arms.keys() >= {predicted.arm, predicted.against}:
            continue
        effect = results.estimate(CLAIM_METRICS[predicted.metric], predicted.arm, predicted.against)
        low, high = predicted.expected
        outcome = "not measured"
        if effect:
            interval = effect.interval
            outcome = "as predicted" if low <= interval.mean <= high else "open"
            if predicted.is_refuted_by(interval.low, interval.high):
                outcome = "refuted"
        rows.append({
            "name": name, "comparison": comparison(results, predicted),
            "measure": CLAIM_METRICS[predicted.metric].title,
            "expected": f"{low:+g} to {high:+g}", "refuted": predicted.refuted,
            "effect": effect, "outcome": outcome, "statement": predicted.statement,
        })  # fmt: skip
    headers = {
        "name": "Prediction", "statement": "Statement", "comparison": "Difference",
        "measure": "Metric", "expected": "Expected", "refuted": "Refuted if", "effect": "Measured",
        "outcome": "Outcome",
    }  # fmt: skip
    return Table(
        "predictions", rows, headers, "Predictions",
        "What paper/predictions.yaml said before the runs, and what they gave.",
        ("Refuted: the whole interval lies beyond the number. As predicted: not refuted, and the "
         "mean lies in the expected range. Open: neither.", note_on_intervals(results, rows)),
    )  # fmt: skip


def comparison(results: Results, difference: Pair) -> str:
    """Return "(CD → IF) − CD": the labels of the two arms."""
    labels = [results.labels.get(arm, arm) for arm in (difference.arm, difference.against)]
    return " − ".join(f"({label})" if " " in label else label for label in labels)


def _judges(results: Results, metric: Metric) -> str:
    """Return which scores a metric consists of, as the table of the judges names them."""
    if metric is TASK:
        return "token_f1; rouge_l"
    sets: dict[str, list[str]] = {}
    for name in results.datasets(metric):
        if score := results.faithfulness_metrics.get(name):
            sets.setdefault(score, []).append(name)
    faithfulness = "; ".join(f"{score} ({', '.join(names)})" for score, names in sets.items())
    instruction = "rating" if results.has_ratings else "instruction_strict"
    parts = {INSTRUCTION: instruction, FAITHFULNESS: faithfulness}
    return parts.get(metric, f"{instruction}; {faithfulness}")
