"""The entailment step: the profile's entailment model, and what the judges say of trials."""

import os
import shutil
from pathlib import Path
from typing import Any

from reproduce.config import Judging, Params, Published
from reproduce.determinism import named_seed, settle
from reproduce.entailment.pairs import Pair
from reproduce.examples import example_of
from reproduce.files import checked, read_rows, sealed_folder, write_json, write_rows
from reproduce.judging import judges_of
from reproduce.validation import reached, sound_sets, status

Row = dict[str, Any]


def make_entailment(params: Params, pairs: Path, target: Path) -> None:
    """Write the entailment model (`model`, if it has weights) and the judged trials of `pairs`."""
    checked(pairs)
    settle(named_seed("entailment"), params.hardware.base_threads)
    with sealed_folder(target) as folder:
        if params.judging.training:
            _train(params.judging, pairs, folder)
        elif params.judging.published:
            _fetch(params.judging.published, folder / "model")
        trials = read_rows(pairs / "trials.jsonl")
        examples = [example_of(row["example"]) for row in trials]
        judgements = judges_of(params.judging, folder)(examples, [r["response"] for r in trials])
        rows = (
            {
                "dataset": example.dataset,
                "kind": example.kind,
                "example": example.id,
                "variant": row["variant"],
                "response": row["response"],
                **vars(judgement),
            }
            for example, row, judgement in zip(examples, trials, judgements, strict=True)
        )
        found = list(rows)
        for name, interval in reached(found, params).items():
            mean = f"AUC {interval.mean:.3f} on the same passage, " if interval else ""
            print(f"  judge of {name}: {mean}{status(interval, params)}", flush=True)
        sound_sets(found, params)
        write_rows(folder / "judged.jsonl", found)


def _train(settings: Judging, pairs: Path, folder: Path) -> None:
    from reproduce.entailment.training import train_cross_encoder
    from reproduce.sources.minilm import import_minilm

    assert settings.training
    place, start = os.environ.get("REPRODUCE_MIRROR"), folder / "start"
    import_minilm(start, Path(place) if place else None)
    rows = [Pair(**row) for row in read_rows(pairs / "training.jsonl")][: settings.training.pairs]
    history = train_cross_encoder(start, rows, settings.training, folder / "model")
    write_json(folder / "history.json", history)
    shutil.rmtree(start)


def _fetch(published: Published, target: Path) -> None:
    """Write a published classifier as safetensors; weights only, no code of the repository."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source, revision = published.model, published.revision or "main"
    model = AutoModelForSequenceClassification.from_pretrained(
        source, revision=revision, weights_only=True, trust_remote_code=False
    )
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
