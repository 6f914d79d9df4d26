"""The stage `judges`: the entailment model, and judged trials that tell how good the judges are."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from reproduce.config import HubModel, Params
from reproduce.judges.judge import READER, JudgePanel, check_empty_share
from reproduce.judges.llm_judge import build_llm_judge
from reproduce.judges.nli import label_columns
from reproduce.models.pretrained import import_minilm, load_published
from reproduce.schema import JudgedTrial, Sets, read_sets, write_records
from reproduce.utils.files import atomic_dir, write_json
from reproduce.utils.seeds import named_seed, set_determinism
from reproduce.validation.auc import faithfulness_auc, valid_datasets, validity
from reproduce.validation.entailment_training import train_cross_encoder
from reproduce.validation.trials import Trial, make_trials, training_pairs, trivial_responses
from reproduce.validation.tuned import import_reader


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
