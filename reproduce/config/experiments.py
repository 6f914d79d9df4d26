"""The schema of experiments.yaml: the arms of a study, the same at every scale."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.params import Name, Params, Share, Strict, Training, Weight

PRETRAINED = "pretrained"
"""What an arm starts from that starts from no other arm."""

MARKS = set("–—‘’“”•…→←↔⇒−×≤≥≠≈∞")
"""Characters of labels that are neither Latin, Greek nor Cyrillic."""

Experiment = Literal["two-stage", "methods", "data-size", "drivers", "controls"]


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
    """Which candidates an arm trains on.

    Attributes:
        strategies: decoding strategies of the candidate pool; null for all.
        pool_fraction: share of a prompt's candidates, of all strategies, that are in the pool;
            the strategies above take turns. Null for all that these have drawn.
        keep_fraction: share of the prompts that are kept, best first within each data set.
        rule: "best" by reward; the others are controls: "random" candidates, "shuffled" rewards,
            "reference" responses to the prompts of "best" in place of its candidates.
    """

    strategies: Annotated[list[str], Field(min_length=1)] | None = None
    pool_fraction: Share | None = None
    weights: Weights = Weights()
    keep_fraction: Share
    rule: Literal["best", "random", "shuffled", "reference"] = "best"

    @model_validator(mode="after")
    def _distinct_strategies(self) -> "Selection":
        if self.strategies and len(set(self.strategies)) < len(self.strategies):
            raise ValueError(f"strategies: duplicate value in {self.strategies}")
        return self


class Arm(Strict):
    """One model of the study: where it starts and what it is trained on.

    Attributes:
        experiment: the group of arms that it belongs to.
        start: "pretrained", or the arm whose checkpoint of the same seed is trained further.
        source: folder of artifacts that it trains on: "data/training", or "scores" for arms that
            select from the scored candidates.
        mixture: side ("IF", "CD") or data set -> share of its training examples.
        select: the selection of an arm whose source is "scores".
        use_continuation: train with the profile's `continuation`, not with its full schedule.
        num_intermediate_evals: also evaluate at so many points during training.
    """

    experiment: Experiment
    start: str
    source: Literal["data/training", "scores"]
    mixture: Annotated[dict[str, Share], Field(min_length=1)] | None = None
    select: Selection | None = None
    use_continuation: bool = False
    num_intermediate_evals: Annotated[int, Field(ge=0, le=100)] = 0

    @property
    def trains(self) -> bool:
        """Return whether the arm has a model of its own."""
        return self.mixture is not None or self.select is not None

    @model_validator(mode="after")
    def _one_source(self) -> "Arm":
        if self.mixture is not None and self.select is not None:
            raise ValueError("an arm trains on a mixture or on a selection, not on both")
        if (self.select is not None) != (self.source == "scores"):
            raise ValueError("source: 'scores' goes with 'select', 'data/training' with the rest")
        return self


def training_for(params: Params, arm: Arm) -> Training:
    """Return the training that an arm gets: the profile's, or that of its continuation."""
    changes = params.continuation.model_dump() if arm.use_continuation else {}
    return params.training.model_copy(update=changes)


class Experiments(Strict):
    """The whole experiments.yaml.

    Attributes:
        arms: name -> arm, in the order of the report.
        labels: name -> what a reader calls the arm; "{sets}" stands for its training data sets.
    """

    arms: dict[Name, Arm]
    labels: dict[Name, str]

    @model_validator(mode="after")
    def _a_label_each(self) -> "Experiments":
        if different := set(self.arms) ^ set(self.labels):
            raise ValueError(f"labels: '{min(different)}' has an arm or a label, but not both")
        seen: dict[str, str] = {}
        for name, label in self.labels.items():
            if not label.strip():
                raise ValueError(f"labels.{name}: is empty")
            if odd := sorted({mark for mark in label if not (" " <= mark < "\u0530")} - MARKS):
                raise ValueError(f"labels.{name}: figures cannot show {''.join(odd)!r}")
            if "{sets}" not in label and seen.setdefault(label, name) != name:
                raise ValueError(f"labels: {seen[label]} and {name} have the same: '{label}'")
        return self

    @model_validator(mode="after")
    def _known_starts(self) -> "Experiments":
        if PRETRAINED in self.arms:
            raise ValueError(f"arms: '{PRETRAINED}' is the base model; choose another name")
        for name in self.arms:
            path = [name]
            while (start := self.arms[path[-1]].start) != PRETRAINED:
                if start not in self.arms:
                    raise ValueError(
                        f"arms.{path[-1]}.start: '{start}' is neither '{PRETRAINED}' nor an arm"
                    )
                if start in path:
                    raise ValueError(f"arms.{name}.start: circular: {' from '.join(path)}")
                if not self.arms[start].trains:
                    raise ValueError(
                        f"arms.{path[-1]}.start: '{start}' trains nothing; use its start "
                        f"'{self.arms[start].start}'"
                    )
                path.append(start)
        return self


Arms = Mapping[str, Arm]
