"""How well each judge tells right responses from wrong ones, and which one carries which claim."""

from collections.abc import Sequence
from typing import Any

from reproduce.config import Params
from reproduce.evaluation.results import Estimate
from reproduce.evaluation.tables.render import Table
from reproduce.judges.validation import SAME, auc, reached, status
from reproduce.utils.formatting import percent

Row = dict[str, Any]

MEASURES = {
    "extractive": ("entailed", "coverage", "k_precision", "token_f1", "exact_match"),
    "abstractive": ("summac", "coverage", "k_precision", "rouge_l"),
    "instruction": ("instruction_strict", "instruction_loose", "rouge_l"),
}
RATED = ("rating",)
"""What trials have besides, where a served judge rates them."""
WRONG = (SAME, "other passage", "negated")


def judges(rows: Sequence[Row], params: Params) -> Table:
    """Return a row a data set and measure: its AUC against each kind of wrong response."""
    carriers, at_same = params.judging.carriers, reached(rows, params)
    found: list[Row] = []
    for name, kind in {row["dataset"]: row["kind"] for row in rows}.items():
        for measure in (*RATED, *MEASURES[kind]):
            cells = {wrong: auc(rows, name, measure, wrong, params.statistics) for wrong in WRONG}
            shown = {wrong: Estimate(cell) if cell else None for wrong, cell in cells.items()}
            if any(shown.values()):
                said = status(at_same[name], params) if carriers.get(kind) == measure else None
                carries = "faithfulness" if said == "sound" else said and f"nothing: {said}"
                examples = cell.prompts if (cell := cells[SAME]) else None
                found.append({"dataset": name, "measure": measure, "examples": examples, **shown,
                              "carries": carries})  # fmt: skip
    headers = {"dataset": "Data set", "measure": "Measure", "examples": "Examples (same passage)"}
    headers |= {wrong: f"AUC, {wrong}" for wrong in WRONG} | {"carries": "Carries"}
    given = [cell for row in found for cell in row.values() if isinstance(cell, Estimate)]
    counts = sorted(cell.interval.prompts for cell in given)
    caption = (
        "Area under the ROC curve of right responses to held-out examples against wrong ones: "
        "another answer (or name) of the same passage, the answer to another prompt, a negation. "
        "0.5 is chance. Measures against references (F1, exact match, ROUGE-L) compare a right "
        "response with the other references, or with itself where there is no other. A measure of "
        "faithfulness whose AUC on the same passage is below "
        f"{params.validation.least_auc:g}, or on fewer than {params.validation.least_trials} "
        f"examples, carries no claim. n = {counts[0]} to {counts[-1]} examples a cell; in brackets "
        f"the {percent(params.statistics.confidence)} percentile "
        f"interval of {params.statistics.resamples} bootstrap resamples over examples."
        f"{_ratings(rows)}"
    )
    return Table("judges", caption, headers, found)


def _ratings(rows: Sequence[Row]) -> str:
    """Return a sentence on the ratings of the trials; "" where nothing was rated."""
    unread = [row["details"]["unrated"] for row in rows if "unrated" in row["details"]]
    if not unread:
        return ""
    return f" {len(unread)} ratings were asked for; {sum(unread):.0f} are unreadable and left out."
