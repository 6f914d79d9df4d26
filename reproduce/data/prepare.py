"""The stage `data`: pretraining texts, training sets and evaluation sets of a profile."""

from collections.abc import Mapping
from pathlib import Path

from reproduce.config import Arm, ConfigError, Data, Params
from reproduce.data.datasets import (
    PINNED_SETS,
    Counts,
    check_limits,
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
from reproduce.world.tasks import SIDES


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


def sides_of(data: Data) -> dict[str, Side]:
    """Return training set -> the objective that it belongs to.

    Raises ConfigError for a data set, or a limit of one, that does not exist.
    """
    if data.world:
        return dict(SIDES)
    if data.sets:
        return {name: side_of(text_set) for name, text_set in data.sets.items() if text_set.train}
    assert data.real
    try:
        check_limits(data.real.sets)
    except ValueError as error:
        raise ConfigError(f"data.real.sets: {error}") from None
    sets = data.real.sets
    return {n: FORMATS[PINNED_SETS[n].format][0] for n in sets if sets[n].get("train")}


def check_data_sets(data: Data, arms: Mapping[str, Arm]) -> None:
    """Raise ConfigError for a data set, a limit or a part of a mixture that does not exist."""
    sides = sides_of(data)
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
