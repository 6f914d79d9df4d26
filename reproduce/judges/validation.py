"""How well a measure tells right responses from wrong ones, and which of them may carry a claim."""

from collections.abc import Sequence
from typing import Any

from reproduce.bootstrap import Interval, bootstrap_auc
from reproduce.config import Params, Statistics

Row = dict[str, Any]

SAME = "same passage"
"""The wrong responses that decide: what a judge must see is that the passage does not say so."""


class Unsound(Exception):
    """Judges that cannot tell right from wrong."""


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
    right, bad = ([(name, scores[variant][name]) for name in both] for variant in ("right", wrong))
    return bootstrap_auc(right, bad, **settings.model_dump())


def reached(rows: Sequence[Row], params: Params) -> dict[str, Interval | None]:
    """Return, by CD data set, the AUC that its measure of faithfulness has on the same passage."""
    kinds = {row["dataset"]: row["kind"] for row in rows if row["kind"] != "instruction"}
    return {
        name: auc(rows, name, params.judging.carriers[kind], SAME, params.statistics)
        for name, kind in kinds.items()
    }


def status(found: Interval | None, params: Params) -> str:
    """Return "sound", or why a measure with this AUC carries no claim."""
    needed = params.validation
    if found is None or found.prompts < needed.least_trials:
        return f"fewer than {needed.least_trials} trials"
    return "sound" if found.mean >= needed.least_auc else f"AUC below {needed.least_auc:g}"


def sound_sets(rows: Sequence[Row], params: Params) -> list[str]:
    """Return the CD data sets whose measure of faithfulness may carry a claim.

    Raises Unsound, with what each lacks, when there is none.
    """
    found = {name: status(interval, params) for name, interval in reached(rows, params).items()}
    sound = [name for name, said in found.items() if said == "sound"]
    if not sound:
        raise Unsound(
            f"no measure of faithfulness is sound on wrong answers of the same passage: {found}; "
            "choose others (judging.extractive, judging.abstractive), another entailment model "
            "(judging.entailment) or more trials (validation.trials)"
        )
    return sound
