"""How well the measures of faithfulness tell right from wrong among the arms' own answers."""

from collections.abc import Mapping
from typing import Any

from reproduce.bootstrap import bootstrap_auc
from reproduce.evaluation.results import Estimate, Results
from reproduce.evaluation.tables.render import Table
from reproduce.utils.formatting import numbered, percent

SHOWN = {"entailed": "By entailment", "coverage": "Coverage", "k_precision": "K-precision"}


def own_answers(results: Results) -> Table:
    """Return a row a data set of questions: the AUC that each measure has on answers as given.

    Right is an answer that states a reference, wrong any other. A set whose answers are all right,
    or all wrong, has no row.
    """
    rows = [
        {
            "dataset": name,
            "answers": len(found),
            "right": int((found["states_answer"] == 1).sum()),
            **{measure: _auc(results, found, measure) for measure in SHOWN},
        }
        for name, found in _answers(results).items()
        if 0 < (found["states_answer"] == 1).sum() < len(found)
    ]
    headers = {"dataset": "Data set", "answers": "Answers", "right": "Right", **SHOWN}
    settings = results.statistics
    caption = (
        "Area under the ROC curve of the arms' own answers that state a reference (right) against "
        "those that do not. The table `judges` has it for answers made up for that, which are as "
        "short as the data sets' own; here they have the form that the models give them. An answer "
        f"that several arms or seeds gave counts once. All arms, {numbered(results.seeds)}; in "
        f"brackets the {percent(settings.confidence)} percentile interval of {settings.resamples} "
        "bootstrap resamples over questions, each with all its answers. A wrong answer here may be "
        "faithful: it may say something else that the passage says, or answer in other words than "
        "the references; so even a perfect measure of faithfulness does not reach 1."
    )
    return Table("own-answers", caption, headers, rows)


def _answers(results: Results) -> Mapping[str, Any]:
    """Return, by data set of questions, the distinct non-empty answers of all arms and seeds."""
    scores = results.scores
    kept = scores[
        (scores["kind"] == "extractive")
        & ~scores["probe"]
        & (scores["progress"] == 1.0)
        & (scores["empty"] == 0)
    ]
    distinct = kept.drop_duplicates(["example", "response"])
    return dict(list(distinct.groupby("dataset", sort=True)))


def _auc(results: Results, found: Any, measure: str) -> Estimate:
    right = found["states_answer"] == 1
    stating, others = (
        list(zip(found[side]["example"], found[side][measure], strict=True))
        for side in (right, ~right)
    )
    return Estimate(bootstrap_auc(stating, others, **results.statistics.model_dump()))
