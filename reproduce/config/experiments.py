"""A schema of experiments.yaml: the arms of a study, the same at every scale."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.params import Params
from reproduce.config.training import Training
from reproduce.config.types import Name, Share, Strict, Weight


class Weights(Strict):
    """Weights of the three judges in the reward; at least one is positive."""

    task: Weight = 1.0
    faithfulness: Weight = 1.0
    instruction: Weight = 1.0

    @model_validator(mode="after")
    def _some_weight(self) -> "Weights":
        if not (self.task or self.faithfulness or self.instruction):
            raise ValueError("all three weights are 0")
        return self


class Selection(Strict):
    """Which candidates ReSet keeps.

    Attributes:
        strategies: decoding strategies whose candidates are considered; null for all.
        candidates: share of a prompt's candidates, of all strategies, that is considered; they
            are taken in turn from the strategies above. Null for all that these have drawn.
        keep: share of the prompts that are kept, best first within each data set.
        rule: "best" by reward; the others are controls: "random" candidates, "shuffled"
            rewards, "gold" responses to the prompts of "best" in place of its
            generations.
    """

    strategies: Annotated[list[str], Field(min_length=1)] | None = None
    candidates: Share | None = None
    weights: Weights = Weights()
    keep: Share
    rule: Literal["best", "random", "shuffled", "gold"] = "best"

    @model_validator(mode="after")
    def _distinct_strategies(self) -> "Selection":
        if self.strategies and len(set(self.strategies)) < len(self.strategies):
            raise ValueError(f"strategies: {self.strategies} names one strategy twice")
        return self


class Arm(Strict):
    """One model of the study: where it starts and what it is trained on.

    Attributes:
        label: name in tables and figures.
        start: "base" or "experiment/arm" whose checkpoint of the same seed is trained further.
        reads: "training", or "scores" for arms that select from the scored candidates.
        mixture: side ("IF", "CD") or data set -> share of its training examples.
        select: the selection of an arm that reads "scores".
        continues: the profile's `continuation` holds: the start has seen this kind of data.
        trajectory: also evaluate at this many points during training.
    """

    label: str
    start: str
    reads: Literal["training", "scores"]
    mixture: Annotated[dict[str, Share], Field(min_length=1)] | None = None
    select: Selection | None = None
    continues: bool = False
    trajectory: Annotated[int, Field(ge=0)] = 0

    @property
    def trains(self) -> bool:
        """Return whether the arm has a model of its own."""
        return self.mixture is not None or self.select is not None

    @model_validator(mode="after")
    def _one_source(self) -> "Arm":
        if self.mixture is not None and self.select is not None:
            raise ValueError("an arm trains on a mixture or on a selection, not on both")
        if (self.select is not None) != (self.reads == "scores"):
            raise ValueError("an arm with 'select' reads 'scores', any other reads 'training'")
        return self


def by_key(experiments: Mapping[str, Mapping[str, Arm]]) -> dict[str, Arm]:
    """Return "experiment/arm" -> settings, in the order of the report."""
    return {f"{e}/{a}": arm for e, found in experiments.items() for a, arm in found.items()}


def training_of(params: Params, arm: Arm) -> Training:
    """Return the training that an arm gets: the profile's, or that of its continuation."""
    changes = params.continuation.model_dump() if arm.continues else {}
    return params.training.model_copy(update=changes)


class Experiments(Strict):
    """The whole experiments.yaml: experiment -> arm, in the order of the report."""

    experiments: dict[Name, dict[Name, Arm]]

    @model_validator(mode="after")
    def _distinct_labels(self) -> "Experiments":
        seen: dict[str, str] = {}
        for key, arm in by_key(self.experiments).items():
            # "{sets}" stands for data sets that only the profile knows.
            if "{sets}" not in arm.label and seen.setdefault(arm.label, key) != key:
                raise ValueError(f"{seen[arm.label]} and {key} have one label: '{arm.label}'")
        return self

    @model_validator(mode="after")
    def _known_starts(self) -> "Experiments":
        names = {f"{e}/{a}" for e, arms in self.experiments.items() for a in arms} | {"base"}
        for experiment, arms in self.experiments.items():
            for name, arm in arms.items():
                if arm.start not in names - {f"{experiment}/{name}"}:
                    raise ValueError(
                        f"{experiment}.{name}.start: '{arm.start}' is not 'base' nor another arm"
                    )
                if arm.start != "base" and not by_key(self.experiments)[arm.start].trains:
                    raise ValueError(
                        f"{experiment}.{name}.start: '{arm.start}' trains nothing, so it has no "
                        "model of its own; start from what it starts from"
                    )
        return self

    @model_validator(mode="after")
    def _no_cycle(self) -> "Experiments":
        arms = by_key(self.experiments)
        for key in arms:
            path = [key]
            while (start := arms[path[-1]].start) in arms:
                if start in path:
                    raise ValueError(f"arms start from each other: {' from '.join([*path, start])}")
                path.append(start)
        return self
