"""Validation of judges: how well each metric tells right responses from wrong ones."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from reproduce.config import HubModel, Params, Statistics
from reproduce.intervals import Interval, Scored, auc_interval
from reproduce.judges.judge import READER, JudgePanel, check_empty_share
from reproduce.judges.llm_judge import build_llm_judge
from reproduce.judges.nli import label_columns
from reproduce.models.pretrained import import_minilm, load_published
from reproduce.schema import JudgedTrial, Sets, read_sets, write_records
from reproduce.utils.files import UserError, atomic_dir, write_json
from reproduce.utils.seeds import named_seed, set_determinism
from reproduce.validation.entailment_training import train_cross_encoder
from reproduce.validation.trials import Trial, make_trials, training_pairs, trivial_responses
from reproduce.validation.tuned import import_reader

SAME_PASSAGE = "same passage"
"""The wrong responses that decide: a judge must see that the passage does not say so."""
VALID = "valid"


def make_judges(params: Params, artifacts: Path, training_sets: Sets, held_out_sets: Sets) -> None:
    """Write below `artifacts`/judges the entailment model and the validation of all judges.

    `model` is empty if the entailment model is symbolic; `validation` has the judged trials. They
    are apart, so that a change of the validation asks for no new judgements of the arms.

    Raises UserError, and writes neither, if no faithfulness metric is valid.
    """
    build_llm_judge(params)  # A missing key is an error before the training.
    set_determinism(named_seed("entailment"), params.hardware.threads)
    settings, target = params.validation, artifacts / "judges"
    with atomic_dir(target / "model") as model, atomic_dir(target / "validation") as validation:
        if params.judging.training:
            import_minilm(model / "start")
            pairs = training_pairs(training_sets, settings.seed)[: params.judging.training.pairs]
            losses = train_cross_encoder(
                model / "start", pairs, params.judging.training, params.hardware, model
            )
            write_json(model / "history.json", losses)
            shutil.rmtree(model / "start")
        elif params.judging.published:
            import_classifier(params.judging.published, model)
        if params.judging.uses_reader:
            import_reader(model / READER)
        panel = JudgePanel(params, model)
        made = make_trials(held_out_sets, settings.trials, settings.seed)
        trials = _judged(made, panel)
        judgements = [trial.judgement for trial in trials]
        check_empty_share(judgements, params.judging, "trials of the judges")
        sets = (read_sets(artifacts / "data" / part) for part in ("training", "evaluation"))
        write_records(validation / "trivial.jsonl", _judged(trivial_responses(*sets), panel))
        for dataset, interval in faithfulness_auc(trials, params).items():
            area = f"AUC {interval.mean:.3f} on the same passage, " if interval else ""
            print(f"  judge of {dataset}: {area}{validity(interval, params)}", flush=True)
        valid_datasets(trials, params)
        write_records(validation / "trials.jsonl", trials)


def _judged(trials: Sequence[Trial], panel: JudgePanel) -> list[JudgedTrial]:
    judgements = panel.judge([t.example for t in trials], [t.response for t in trials])
    return [
        JudgedTrial(t.example.dataset, t.example.kind, t.example.id, t.variant, t.response, j)
        for t, j in zip(trials, judgements, strict=True)
    ]


def import_classifier(published: HubModel, target: Path) -> None:
    """Write a published classifier and its tokenizer to `target`, the weights as safetensors.

    Raises UnusableFile if it cannot be had or lacks a label.
    """
    from transformers import AutoModelForSequenceClassification

    model, tokenizer = load_published(AutoModelForSequenceClassification, published)
    label_columns(model.config.label2id)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


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
