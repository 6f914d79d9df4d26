"""The data step: pretraining texts, training sets and evaluation sets of a profile."""

import os
from pathlib import Path
from typing import Any

from reproduce.config import Data, RealData, WorldData
from reproduce.examples import Sets, write_examples
from reproduce.files import sealed_folder, write_csv, write_rows

CACHE = Path(".cache/sources")
"""Where downloads of real text go, below the working directory."""


def make_data(settings: Data, training: Path, evaluation: Path, pretraining: Path) -> None:
    """Write a folder of training sets, one of evaluation sets and one of pretraining texts.

    Raises ValueError when a prompt would be on both sides.
    """
    if settings.world:
        train, held_out, texts = _of_world(settings.world, settings.seed)
        counts: list[dict[str, Any]] = []
    else:
        assert settings.real is not None
        train, held_out, counts = _of_sources(settings.real, settings.seed)
        texts = []
    refuse_overlap(train, held_out)
    _write_sets(training, train, counts)
    _write_sets(evaluation, held_out, counts)
    with sealed_folder(pretraining) as folder:
        write_rows(folder / "texts.jsonl", ({"text": text} for text in texts))


def refuse_overlap(train: Sets, held_out: Sets) -> None:
    """Raise ValueError naming a prompt or a group that is on both sides."""
    for what in ("prompt", "group"):
        seen = {getattr(e, what) for examples in train.values() for e in examples} - {""}
        for name, examples in held_out.items():
            for example in examples:
                if getattr(example, what) in seen:
                    raise ValueError(
                        f"evaluation set {name}: {what} {getattr(example, what)!r} is in training"
                    )


def _of_world(settings: WorldData, seed: int) -> tuple[Sets, Sets, list[str]]:
    from reproduce.world.build import evaluation_sets, training_sets
    from reproduce.world.corpus import pretraining_texts
    from reproduce.world.people import make_world

    world = make_world(settings.people, seed)
    held_out = evaluation_sets(world, settings.evaluation, seed)
    train = training_sets(world, settings.train, seed, held_out)
    return train, held_out, pretraining_texts(world, settings.pretraining_texts, seed)


def _of_sources(settings: RealData, seed: int) -> tuple[Sets, Sets, list[dict[str, Any]]]:
    from reproduce.sources.build import real_examples

    mirror = os.environ.get("REPRODUCE_MIRROR")
    return real_examples(settings.sets, Path(mirror) if mirror else None, CACHE, seed)


def _write_sets(target: Path, sets: Sets, counts: list[dict[str, Any]]) -> None:
    with sealed_folder(target) as folder:
        for name, examples in sets.items():
            if examples:
                write_examples(folder / f"{name}.jsonl", examples)
        if counts:
            write_csv(folder / "counts.csv", counts)
