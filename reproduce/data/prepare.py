"""The stage `data`: pretraining texts, training sets and evaluation sets of a profile."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reproduce.config import Arm, ConfigError, Data, Params
from reproduce.data.datasets import (
    LENGTHS,
    PINNED_SETS,
    Counts,
    describe,
    pinned_pools,
    pinned_sets,
    text_sets,
)
from reproduce.data.mixture import data_sets_of
from reproduce.data.parsers import FORMATS, side_of
from reproduce.data.synthetic import evaluation_sets, training_sets
from reproduce.schema import Sets, Side, read_sets, write_records
from reproduce.utils.files import atomic_dir, write_csv, write_rows
from reproduce.world.corpus import pretraining_texts
from reproduce.world.people import make_world
from reproduce.world.tasks import PROBES, SIDES


def make_data(params: Params, artifacts: Path) -> None:
    """Write below `artifacts`/data: training and evaluation sets, and texts for pretraining.

    Raises ValueError, and writes nothing, when a prompt or a group would be on both sides.
    """
    data = params.data
    texts: list[str] = []
    counts: list[Counts] = []
    if data.world:
        world = make_world(data.world.people, data.seed)
        evaluation = evaluation_sets(world, data.world.evaluation, data.seed)
        training = training_sets(world, data.world.train, data.seed, evaluation)
        texts = pretraining_texts(world, data.world.pretraining_texts, data.seed)
    elif data.real:
        training, evaluation, counts = pinned_sets(data.real.sets, data.seed)
    else:
        assert data.sets
        training, evaluation, counts = text_sets(data.sets, data.seed, data.verifiable)
    check_no_overlap(training, evaluation)
    columns = [row.columns() for row in counts]
    for row in counts:
        print(describe(row), flush=True)
    for name, sets in (("training", training), ("evaluation", evaluation)):
        with atomic_dir(artifacts / "data" / name) as folder:
            for dataset, examples in sets.items():
                if examples:
                    write_records(folder / f"{dataset}.jsonl", examples)
            if columns:
                write_csv(folder / "counts.csv", columns)
    with atomic_dir(artifacts / "data" / "pretraining") as folder:
        write_rows(folder / "texts.jsonl", ({"text": text} for text in texts))


def judge_examples(params: Params, artifacts: Path = Path("artifacts")) -> tuple[Sets, Sets]:
    """Return what an entailment model may be trained on, and what the judges are validated on.

    These are the training and evaluation sets that `make_data` wrote. Of pinned files they are
    all examples of either side, for training without limits on length, since an entailment model
    reads sentence by sentence. The symbolic entailment model of the synthetic task needs none.
    """
    data = params.data
    evaluation = read_sets(artifacts / "data" / "evaluation")
    if not data.real:
        return {} if data.world else read_sets(artifacts / "data" / "training"), evaluation
    whole, _ = pinned_pools({name: {} for name in data.real.sets})
    limited, _ = pinned_pools(data.real.sets)
    training = {name: pools[0] for name, pools in whole.items()}
    held_out = {name: pools[1] for name, pools in limited.items()}
    # Only the sampled instructions have constraints to follow.
    held_out |= {name: e for name, e in evaluation.items() if e[0].kind == "instruction"}
    check_no_overlap(training, held_out)
    return training, held_out


class DeclaredSet(NamedTuple):
    """A data set's side, and how many examples it has at most; ALL without a limit."""

    side: Side
    train: int
    evaluation: int


ALL = sys.maxsize


def declared_sets(data: Data) -> dict[str, DeclaredSet]:
    """Return the data sets by name, as params.yaml declares them.

    Raises ConfigError for a pinned data set, or a limit of one, that does not exist.
    """
    if world := data.world:
        sets = {n: DeclaredSet(side, world.train, world.evaluation) for n, side in SIDES.items()}
        return sets | {name: DeclaredSet("CD", 0, world.evaluation) for name in PROBES}
    sets = {}
    allowed = ("train", "evaluation", "draws", *LENGTHS)
    for name, limits in (data.real.sets if data.real else {}).items():
        place = f"data.real.sets.{name}"
        if name not in PINNED_SETS:
            raise ConfigError(f"{place}: unknown data set; allowed: {', '.join(PINNED_SETS)}")
        if unknown := sorted(set(limits) - set(allowed)):
            raise ConfigError(f"{place}: unknown {unknown}; allowed: {', '.join(allowed)}")
        train, evaluation = limits.get("train", 0), limits.get("evaluation", 0)
        if train and not PINNED_SETS[name].can_train:
            raise ConfigError(f"{place}.train: must be 0, as the data set is for evaluation only")
        sets[name] = DeclaredSet(FORMATS[PINNED_SETS[name].format][0], train, evaluation)
    for name, text_set in (data.sets or {}).items():
        train = text_set.counts.get("train", ALL) if text_set.train else 0
        evaluation = text_set.counts.get("evaluation", ALL) if text_set.evaluation else 0
        sets[name] = DeclaredSet(side_of(text_set), train, evaluation)
    return sets


def check_data_sets(data: Data, arms: Mapping[str, Arm]) -> None:
    """Raise ConfigError for a data set, a limit or a part of a mixture that does not exist."""
    sides = {name: side for name, (side, train, _) in declared_sets(data).items() if train}
    for name, arm in arms.items():
        for part in arm.mixture or {}:
            try:
                data_sets_of(part, sides)
            except KeyError as error:
                raise ConfigError(f"arms.{name}.{error.args[0]}") from None


def check_no_overlap(training: Sets, evaluation: Sets) -> None:
    """Raise ValueError for a prompt or a group that is on both sides."""
    for field in ("prompt", "split_group"):
        trained = {getattr(e, field) for examples in training.values() for e in examples} - {""}
        for name, examples in evaluation.items():
            for example in examples:
                if getattr(example, field) in trained:
                    raise ValueError(
                        f"evaluation set {name}: {field} {getattr(example, field)!r} is in training"
                    )
