"""The entailment step: the profile's entailment model, and what the judges say of trials."""

import shutil
from pathlib import Path
from typing import Any

from reproduce.config import CrossEncoderTraining, Params, Published
from reproduce.judges.panel import judges_of, rater_of, refuse_unrated
from reproduce.judges.trials import Pair
from reproduce.judges.validation import reached, sound_sets, status
from reproduce.schema import example_of
from reproduce.utils.determinism import named_seed, settle
from reproduce.utils.files import (
    UnusableFile,
    checked,
    read_rows,
    sealed_folder,
    write_json,
    write_rows,
)

Row = dict[str, Any]


def make_entailment(params: Params, artifacts: Path) -> None:
    """Write below `artifacts`: `entailment`, with a `model` if it has weights, and `validation`.

    The second holds the trials of `pairs` with what the judges say of them. It is apart, so that
    measuring the judges otherwise does not ask for the arms to be judged again.

    Raises Unsound, and writes neither, where no measure of faithfulness tells right from wrong.
    """
    # A missing key is refused before the model is trained.
    rater_of(params.judging, params.servers.judge)
    pairs = checked(artifacts / "pairs")
    settle(named_seed("entailment"), params.hardware.threads_alone)
    with (
        sealed_folder(artifacts / "entailment") as folder,
        sealed_folder(artifacts / "validation") as validation,
    ):
        if params.judging.training:
            _train(params, params.judging.training, pairs, folder)
        elif params.judging.published:
            _fetch(params.judging.published, folder / "model")
        found = _judged(params, pairs, folder)
        refuse_unrated(found, params.judging, "trials of the judges")
        for name, interval in reached(found, params).items():
            mean = f"AUC {interval.mean:.3f} on the same passage, " if interval else ""
            print(f"  judge of {name}: {mean}{status(interval, params)}", flush=True)
        sound_sets(found, params)
        write_rows(validation / "judged.jsonl", found)


def _judged(params: Params, pairs: Path, folder: Path) -> list[Row]:
    """Return the trials of `pairs`, each with its judgement by the entailment model in `folder`."""
    trials = read_rows(pairs / "trials.jsonl")
    examples = [example_of(row["example"]) for row in trials]
    judges = judges_of(params.judging, params.servers.judge, folder)
    judgements = judges(examples, [row["response"] for row in trials])
    return [
        {
            "dataset": example.dataset,
            "kind": example.kind,
            "example": example.id,
            "variant": row["variant"],
            "response": row["response"],
            **vars(judgement),
        }
        for example, row, judgement in zip(examples, trials, judgements, strict=True)
    ]


def _train(params: Params, settings: CrossEncoderTraining, pairs: Path, folder: Path) -> None:
    from reproduce.download import given_mirror
    from reproduce.judges.nli_training import train_cross_encoder
    from reproduce.models.minilm import import_minilm

    start = folder / "start"
    import_minilm(start, given_mirror())
    rows = [Pair(**row) for row in read_rows(pairs / "training.jsonl")][: settings.pairs]
    history = train_cross_encoder(start, rows, settings, params.hardware, folder / "model")
    write_json(folder / "history.json", history)
    shutil.rmtree(start)


def _fetch(published: Published, target: Path) -> None:
    """Write a published classifier as safetensors; weights only, no code of the repository.

    Raises UnusableFile, with what to do, where it cannot be had.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source, revision = published.model, published.revision or "main"
    pinned: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            source, weights_only=True, **pinned
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **pinned)
    except (OSError, ValueError) as error:
        raise UnusableFile(
            f"entailment model {source} at {revision}: {str(error).splitlines()[0]}; check the "
            "name and the network (judging.published), or train one (judging.entailment: trained)"
        ) from error
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
