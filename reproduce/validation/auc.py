"""How well each metric of faithfulness tells right responses from wrong ones, of judged trials."""

from collections.abc import Sequence

from reproduce.config import Params, Statistics
from reproduce.intervals import Interval, Scored, auc_interval
from reproduce.schema import JudgedTrial
from reproduce.utils.files import UserError

SAME_PASSAGE = "same passage"
"""The wrong responses that decide: a judge must see that the passage does not say so."""
VALID = "valid"


def paired_scores(
    trials: Sequence[JudgedTrial], dataset: str, metric: str, wrong: str
) -> tuple[list[Scored], list[Scored]]:
    """Return a metric's scores of right responses and of one variant of wrong ones.

    Both are of the examples that have both, in the same order.
    """
    scores: dict[str, dict[str, float]] = {"right": {}, wrong: {}}
    for trial in trials:
        details = trial.judgement.details
        if trial.dataset == dataset and trial.variant in scores and metric in details:
            scores[trial.variant][trial.example] = details[metric]
    both = sorted(scores["right"].keys() & scores[wrong].keys())
    right, other = ([(name, scores[variant][name]) for name in both] for variant in scores)
    return right, other


def auc(
    trials: Sequence[JudgedTrial], dataset: str, metric: str, wrong: str, settings: Statistics
) -> Interval | None:
    """Return a metric's AUC of right responses against one variant of wrong ones; None if none."""
    right, other = paired_scores(trials, dataset, metric, wrong)
    return auc_interval(right, other, settings.confidence) if right else None


def faithfulness_auc(trials: Sequence[JudgedTrial], params: Params) -> dict[str, Interval | None]:
    """Return CD data set -> the AUC of its faithfulness metric on wrong answers of the passage."""
    kinds = {trial.dataset: trial.kind for trial in trials if trial.kind != "instruction"}
    metrics = params.judging.faithfulness_metric
    return {
        dataset: auc(trials, dataset, metrics[kind], SAME_PASSAGE, params.statistics)
        for dataset, kind in kinds.items()
    }


def validity(interval: Interval | None, params: Params) -> str:
    """Return VALID, or why a faithfulness metric with this AUC is not used for claims."""
    settings = params.validation
    if interval is None or interval.prompts < settings.min_trials:
        return f"fewer than {settings.min_trials} trials"
    below = f"lower end of the AUC below {settings.min_auc:g}"
    return VALID if interval.low >= settings.min_auc else below


def valid_datasets(trials: Sequence[JudgedTrial], params: Params) -> list[str]:
    """Return the CD data sets whose faithfulness metric is valid; UserError if none is."""
    results = {
        dataset: validity(interval, params)
        for dataset, interval in faithfulness_auc(trials, params).items()
    }
    valid = [dataset for dataset, result in results.items() if result == VALID]
    if not valid:
        raise UserError(
            f"no faithfulness metric is valid on wrong answers of the same passage: {results}; "
            "choose others (judging.extractive, judging.abstractive), another entailment model "
            "(judging.entailment) or more trials (validation.trials)"
        )
    return valid
