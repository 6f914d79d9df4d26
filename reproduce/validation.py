"""How well a measure tells right responses from wrong ones, and which of them may carry a claim."""

from collections.abc import Sequence
from typing import Any

from reproduce.config import Judging, Params, Statistics
from reproduce.statistics import Interval, bootstrap_auc

Row = dict[str, Any]

SAME = "same passage"
"""The wrong responses that decide: what a judge must see is that the passage does not say so."""


class Unsound(Exception):
    """Judges that cannot tell right from wrong."""


def carriers_of(settings: Judging) -> dict[str, str]:
    """Return kind of response -> the measure that counts as its faithfulness."""
    return {"extractive": settings.extractive, "abstractive": settings.abstractive}


def auc(
    rows: Sequence[Row], dataset: str, measure: str, wrong: str, settings: Statistics
) -> Interval | None:
    """Return a measure's AUC of right against one kind of wrong response; None without any.

    `rows` are the judged trials: dataset, kind, variant, example and details.
    """
    scores: dict[str, dict[str, float]] = {"right": {}, wrong: {}}
    for row in rows:
        if row["dataset"] == dataset and row["variant"] in scores and measure in row["details"]:
            scores[row["variant"]][row["example"]] = row["details"][measure]
    both = sorted(scores["right"].keys() & scores[wrong].keys())
    if not both:
        return None
    right, bad = ([scores[variant][name] for name in both] for variant in ("right", wrong))
    return bootstrap_auc(right, bad, **settings.model_dump())


def reached(rows: Sequence[Row], params: Params) -> dict[str, float]:
    """Return, by CD data set, the AUC that its measure of faithfulness has on the same passage."""
    kinds = {row["dataset"]: row["kind"] for row in rows if row["kind"] != "instruction"}
    carriers = carriers_of(params.judging)
    found = {
        name: auc(rows, name, carriers[kind], SAME, params.statistics)
        for name, kind in kinds.items()
    }
    return {name: interval.mean for name, interval in found.items() if interval}


def sound_sets(rows: Sequence[Row], params: Params) -> dict[str, float]:
    """Return the data sets whose measure of faithfulness may carry a claim, with its AUC.

    Raises Unsound, with every AUC, when there is none.
    """
    found, least = reached(rows, params), params.validation.least_auc
    sound = {name: mean for name, mean in found.items() if mean >= least}
    if not sound:
        raise Unsound(
            f"no measure of faithfulness reaches an AUC of {least:g} on wrong answers of the same "
            f"passage: {found}; choose others (judging.extractive, judging.abstractive), or "
            "another entailment model (judging.entailment)"
        )
    return sound
