"""What each stage does, from the configuration alone: runs, examples, prompts, judgements.

Data sets count as large as the configuration asks for, which a source may fall short of: all
figures are upper bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reproduce.config import Arm, Data, Params, by_key, training_of
from reproduce.config.experiments import Selection
from reproduce.data.mixture import named
from reproduce.reset.select import share_of
from reproduce.schema import Side
from reproduce.training.sampler import steps_in
from reproduce.utils.stages import SAMPLED, stages

TRIALS = {"CD": 4, "IF": 2}
"""Responses a trial of the judges at most: right, and wrong in each way (entailment.pairs)."""


@dataclass(frozen=True)
class DataSet:
    """One data set: its side, and how many examples it has for training and for evaluation."""

    side: Side
    train: int
    evaluation: int


@dataclass(frozen=True)
class Sampling:
    """Responses to `prompts`: each has `samples` of them, drawn together."""

    prompts: int
    samples: int = 1


@dataclass(frozen=True)
class Work:
    """What one stage does, all seeds together unless it says otherwise.

    Attributes:
        runs: seeds.
        examples: training examples of one run.
        seen: training examples of one run times its epochs.
        steps: optimiser steps of one run.
        sampling: what each run generates, as often as it says.
        faithful: context-dependent responses that are judged by entailment.
        ratings: open-ended responses that a served judge rates.
        saved: models that one run keeps.
        stops: models that one run saves on the way and takes away again.
        pretrains: the stage trains with `base.training`.
    """

    stage: str
    runs: int = 1
    examples: int = 0
    seen: float = 0.0
    steps: int = 0
    sampling: tuple[Sampling, ...] = ()
    faithful: int = 0
    ratings: int = 0
    saved: int = 0
    stops: int = 0
    pretrains: bool = False


def works(params: Params, experiments: Mapping[str, Mapping[str, Arm]]) -> list[Work]:
    """Return what each stage does, in the order in which they run."""
    sets, arms = data_sets(params.data), by_key(experiments)
    known = {
        "data": Work("data"),
        "entailment": _trials(params, sets),
        "base": _base(params),
        "candidates": _candidates(params, sets, arms),
        "score": _score(params, sets, arms),
    }
    return [
        _arm(params, name, arms, sets) if name in arms else known.get(name, Work(name))
        for name in stages(experiments)
    ]


def data_sets(data: Data) -> dict[str, DataSet]:
    """Return data set -> side and sizes, as large as the configuration asks for."""
    if data.world:
        from reproduce.world.build import PROBES, SIDES

        found = {n: DataSet(s, data.world.train, data.world.evaluation) for n, s in SIDES.items()}
        return found | {name: DataSet("CD", 0, data.world.evaluation) for name in PROBES}
    if data.real:
        from reproduce.data.datasets import DATASETS

        return {
            name: DataSet(DATASETS[name].side, limit.get("train", 0), limit.get("evaluation", 0))
            for name, limit in data.real.sets.items()
        }
    from reproduce.data.layouts import side

    assert data.hub is not None
    return {
        name: DataSet(
            side(each.layout),
            each.counts.get("train", 0),
            each.counts.get("evaluation", 0),
        )
        for name, each in data.hub.sets.items()
    }


def mixed(shares: Mapping[str, float], sets: Mapping[str, DataSet]) -> dict[str, int]:
    """Return data set -> examples of a mixture, as `mixtures.mix` draws them.

    Two parts that draw from one data set count as if they never drew the same example.
    """
    trained = {name: each for name, each in sets.items() if each.train}
    sides = {name: each.side for name, each in trained.items()}
    found: dict[str, int] = {}
    for part, share in shares.items():
        for name in named(sides, part):
            size = trained[name].train
            found[name] = min(size, found.get(name, 0) + round(share * size))
    return found


def prompted(
    params: Params, sets: Mapping[str, DataSet], arms: Mapping[str, Arm]
) -> dict[str, int]:
    """Return data set -> prompts of ReSet: of those that the sampled arm has seen."""
    start = arms.get(SAMPLED)
    seen = mixed(start.mixture, sets) if start and start.mixture else {}
    return {name: min(params.candidates.prompts, count) for name, count in seen.items()}


def trained_on(
    arm: Arm, params: Params, sets: Mapping[str, DataSet], arms: Mapping[str, Arm]
) -> int:
    """Return the number of training examples of one run of an arm."""
    if arm.mixture is not None:
        return sum(mixed(arm.mixture, sets).values())
    if arm.select is not None:
        return _kept(arm.select, prompted(params, sets, arms))
    return 0


def _kept(selection: Selection, prompts: Mapping[str, int]) -> int:
    return sum(share_of(count, selection.keep) for count in prompts.values())


def _arm(params: Params, name: str, arms: Mapping[str, Arm], sets: Mapping[str, DataSet]) -> Work:
    arm, runs = arms[name], len(params.seeds)
    examples, training = trained_on(arm, params, sets, arms), training_of(params, arm)
    steps = steps_in(examples, training) if examples else 0
    # As `training.trainer` places them: none where the run has no step between its ends.
    stops = min(arm.trajectory, max(0, steps - 1))
    prompts = sum(each.evaluation for each in sets.values())
    return Work(
        stage=name,
        runs=runs,
        examples=examples,
        seen=examples * training.epochs,
        steps=steps,
        sampling=(Sampling(prompts),) * (1 + stops),
        faithful=runs * (1 + stops) * _evaluated(sets, "CD"),
        ratings=runs * (1 + stops) * _evaluated(sets, "IF") if params.judging.rated else 0,
        saved=int(examples > 0),
        stops=stops,
    )


def _candidates(params: Params, sets: Mapping[str, DataSet], arms: Mapping[str, Arm]) -> Work:
    prompts = sum(prompted(params, sets, arms).values())
    drawn = tuple(Sampling(prompts, d.samples) for d in params.candidates.strategies.values())
    return Work("candidates", runs=len(params.seeds), sampling=drawn)


def _score(params: Params, sets: Mapping[str, DataSet], arms: Mapping[str, Arm]) -> Work:
    runs, prompts = len(params.seeds), prompted(params, sets, arms)
    drawn = sum(decoding.samples for decoding in params.candidates.strategies.values())
    on = {s: sum(n for name, n in prompts.items() if sets[name].side == s) for s in ("CD", "IF")}
    return Work(
        stage="score",
        runs=runs,
        faithful=runs * drawn * on["CD"],
        ratings=runs * drawn * on["IF"] if params.judging.rated else 0,
    )


def _trials(params: Params, sets: Mapping[str, DataSet]) -> Work:
    tried = params.validation.trials
    of_side = {
        side: sum(
            TRIALS[side] * (tried if side == "CD" else min(tried, each.evaluation))
            for each in sets.values() if each.side == side
        )
        for side in TRIALS
    }  # fmt: skip
    rated = of_side["IF"] if params.judging.rated else 0
    return Work("entailment", faithful=of_side["CD"], ratings=rated)


def _base(params: Params) -> Work:
    settings = params.base.training
    if not settings:
        return Work("base", saved=1)
    texts = params.data.world.pretraining_texts if params.data.world else 0
    return Work(
        "base", runs=len(params.seeds), examples=texts, seen=texts * settings.epochs,
        steps=steps_in(texts, settings), saved=1, pretrains=True,
    )  # fmt: skip


def _evaluated(sets: Mapping[str, DataSet], side: Side) -> int:
    return sum(each.evaluation for each in sets.values() if each.side == side)
