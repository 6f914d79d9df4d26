"""The data step: pretraining texts, training sets and evaluation sets of a profile."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reproduce.config import Arm, ConfigError, Data, HubData, Validation, WorldData
from reproduce.data.mixture import named
from reproduce.judges.trials import training_pairs, trials
from reproduce.schema import Sets, Side, write_examples
from reproduce.utils.files import sealed_folder, write_csv, write_rows

CACHE = Path(".cache/sources")
"""Where downloads of real text go, below the working directory."""


@dataclass(frozen=True)
class Material:
    """All text of a profile.

    Attributes:
        train: the training sets.
        held_out: the evaluation sets.
        texts: what a base model is pretrained on.
        counts: a row a data set on what its source offered, for real text.
        judge_train: examples on the training side that an entailment model may learn from.
        judge_held_out: examples on the other side that the judges are measured on.
    """

    train: Sets
    held_out: Sets
    texts: list[str]
    counts: list[dict[str, Any]]
    judge_train: Sets
    judge_held_out: Sets


def make_data(settings: Data, validation: Validation, artifacts: Path) -> None:
    """Write below `artifacts`: training, evaluation and pretraining texts, pairs for the judges.

    Raises ValueError when a prompt would be on both sides.
    """
    found = _material(settings)
    for row in found.counts:
        said = ", ".join(f"{key.replace('_', ' ')} {row[key]}" for key in row if key != "dataset")
        print(f"  {row['dataset']}: {said}", flush=True)
    refuse_overlap(found.train, found.held_out)
    refuse_overlap(found.judge_train, found.judge_held_out)
    _write_sets(artifacts / "training", found.train, found.counts)
    _write_sets(artifacts / "evaluation", found.held_out, found.counts)
    with sealed_folder(artifacts / "pretraining") as folder:
        write_rows(folder / "texts.jsonl", ({"text": text} for text in found.texts))
    with sealed_folder(artifacts / "pairs") as folder:
        pairs = training_pairs(found.judge_train, validation.seed)
        write_rows(folder / "training.jsonl", (vars(pair) for pair in pairs))
        chosen = trials(found.judge_held_out, validation.trials, validation.seed)
        write_rows(folder / "trials.jsonl", (asdict(trial) for trial in chosen))


def _material(settings: Data) -> Material:
    if settings.world:
        return _of_world(settings.world, settings.seed)
    return _of_hub(settings.hub, settings.seed) if settings.hub else _of_sources(settings)


def refuse_unknown(settings: Data, experiments: Mapping[str, Mapping[str, Arm]]) -> None:
    """Raise ConfigError naming a data set, a bound or a part of a mixture that does not exist."""
    sides = sides_of(settings)
    for experiment, arms in experiments.items():
        for name, arm in arms.items():
            for part in arm.mixture or {}:
                try:
                    named(sides, part)
                except KeyError as error:
                    raise ConfigError(f"experiments.{experiment}.{name}.{error.args[0]}") from None


def sides_of(settings: Data) -> dict[str, Side]:
    """Return training set -> the objective that it belongs to.

    Raises ConfigError naming a data set, or a bound of one, that does not exist.
    """
    if settings.world:
        from reproduce.world.build import SIDES

        return dict(SIDES)
    if settings.hub:
        from reproduce.data import layouts

        sets = settings.hub.sets
        return {name: layouts.side(sets[name].layout) for name in sets if sets[name].train}
    from reproduce.data.datasets import DATASETS, check_limits

    assert settings.real is not None
    limits = settings.real.sets
    try:
        check_limits(limits)
    except ValueError as error:
        raise ConfigError(f"data.real.sets: {error}") from None
    return {name: DATASETS[name].side for name in limits if limits[name].get("train")}


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


def _of_world(settings: WorldData, seed: int) -> Material:
    from reproduce.world.build import evaluation_sets, training_sets
    from reproduce.world.corpus import pretraining_texts
    from reproduce.world.people import make_world

    world = make_world(settings.people, seed)
    held_out = evaluation_sets(world, settings.evaluation, seed)
    train = training_sets(world, settings.train, seed, held_out)
    texts = pretraining_texts(world, settings.pretraining_texts, seed)
    # The exact entailment model of the world needs no training.
    return Material(train, held_out, texts, [], {}, held_out)


def _of_sources(settings: Data) -> Material:
    from reproduce.data.datasets import pools, real_examples
    from reproduce.download import given_mirror

    assert settings.real is not None
    mirror, sets = given_mirror(), settings.real.sets
    found, whole = pools(sets, mirror, CACHE), pools({name: {} for name in sets}, mirror, CACHE)
    train, held_out, counts = real_examples(found, sets, settings.seed)
    # A judge reads one sentence at a time, so passages of any length may teach it.
    teaching = {name: pool.train for name, pool in whole.items()}
    measuring = {name: pool.evaluation for name, pool in found.items()}
    # Those with instructions, where there are any to follow.
    measuring |= {n: e for n, e in held_out.items() if e and e[0].kind == "instruction"}
    return Material(train, held_out, [], counts, teaching, measuring)


def _of_hub(settings: HubData, seed: int) -> Material:
    from reproduce.data.hub import hub_examples

    train, held_out, counts = hub_examples(settings.sets, seed, settings.verifiable)
    return Material(train, held_out, [], counts, train, held_out)


def _write_sets(target: Path, sets: Sets, counts: list[dict[str, Any]]) -> None:
    with sealed_folder(target) as folder:
        for name, examples in sets.items():
            if examples:
                write_examples(folder / f"{name}.jsonl", examples)
        if counts:
            write_csv(folder / "counts.csv", counts)
