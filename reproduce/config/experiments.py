"""The schema of experiments.yaml: the arms of a study, the same at every scale."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.params import Count, Name, Params, Share, Strict, Training, Weight

PRETRAINED = "pretrained"
"""What an arm starts from that starts from no other arm."""

Experiment = Literal["two-stage", "methods", "controls", "data-size", "clean data", "ablations"]


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
    """Which prompts of a candidate pool an arm trains on, and with which responses.

    Attributes:
        rule: the responses. "best": each prompt's candidate of the highest reward. The others are
            controls: "random": any candidate; "reference": the reference response; "repaired":
            the reference response where the judges accept it, else the best candidate; "clean":
            the reference response before it was made flawed.
        accepted: only prompts whose reference response the judges accept.
        candidates: how many of a prompt's candidates are in the pool; strategies take turns. Null
            for all.
        weights: of the judges in the reward.
        keep_fraction: share of the prompts that are kept, best first within each data set.
        noise: share of the candidates for which the selecting judge of faithfulness says the
            opposite.
    """

    rule: Literal["best", "random", "reference", "repaired", "clean"] = "best"
    accepted: bool = False
    candidates: Count | None = None
    weights: Weights = Weights()
    keep_fraction: Share = 1.0
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0


class Arm(Strict):
    """One model of the study: where it starts and what it is trained on.

    Attributes:
        experiment: the group of arms that it belongs to.
        start: "pretrained", or the arm whose checkpoint of the same seed is trained further.
        source: folder of artifacts that it is made from: "data/training"; "scores/ARM" for arms
            that select from the scored candidates of ARM; "models/ARM" for interpolation.
        mixture: side ("IF", "CD", "both") or data set -> share of its training examples.
        plain_text: train on the responses of the mixture alone, without their prompts.
        select: the selection of an arm whose source is "scores/ARM".
        interpolation: no training, but weights (1 - a) * start + a * ARM of "models/ARM".
        dpo: train by direct preference optimisation on the best against the worst candidate of each
            selected prompt, with this weight (beta) of the distance from the start.
        use_continuation: train with the profile's `continuation`, not with its full schedule.
        steps, learning_rate, flaws: in place of those of the profile.
        num_intermediate_evals: also evaluate at so many points during training.
    """

    experiment: Experiment
    start: str
    source: Annotated[str, Field(pattern=r"^(data/training|(scores|models)/[A-Za-z][\w-]*)$")]
    mixture: Annotated[dict[str, Share], Field(min_length=1)] | None = None
    plain_text: bool = False
    select: Selection | None = None
    interpolation: Annotated[float, Field(gt=0, lt=1)] | None = None
    dpo: Annotated[float, Field(gt=0)] | None = None
    use_continuation: bool = False
    steps: Count | None = None
    learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    flaws: Annotated[float, Field(ge=0, le=1)] | None = None
    num_intermediate_evals: Annotated[int, Field(ge=0, le=100)] = 0

    @property
    def trains(self) -> bool:
        """Return whether the arm is trained."""
        return self.mixture is not None or self.select is not None

    @property
    def has_model(self) -> bool:
        """Return whether the arm has a model of its own."""
        return self.trains or self.interpolation is not None

    @property
    def made_from(self) -> str:
        """Return the arm whose candidates or weights it is made from; "" for data."""
        return self.source.partition("/")[2] if self.source != "data/training" else ""

    @model_validator(mode="after")
    def _one_source(self) -> "Arm":
        given = [self.mixture, self.select, self.interpolation]
        if sum(part is not None for part in given) > 1:
            raise ValueError("give one of 'mixture', 'select' and 'interpolation'")
        root = self.source.partition("/")[0]
        for name, part, expected in (
            ("select", self.select, "scores"), ("interpolation", self.interpolation, "models"),
        ):  # fmt: skip
            if (part is not None) != (root == expected):
                raise ValueError(f"source: '{expected}/ARM' goes with '{name}', and only with it")
        if self.plain_text and self.mixture is None:
            raise ValueError("plain_text: goes with 'mixture'")
        if self.dpo and (self.select is None or self.select.rule != "best"):
            raise ValueError("dpo: goes with 'select' and its rule 'best'")
        return self


def training_for(params: Params, arm: Arm) -> Training:
    """Return the training that an arm gets: the profile's, or that of its continuation."""
    changes = params.continuation.model_dump() if arm.use_continuation else {}
    if arm.steps is not None:
        changes |= {"steps": arm.steps, "epochs": None}
    for name in ("learning_rate", "flaws"):
        if (value := getattr(arm, name)) is not None:
            changes[name] = value
    return params.training.model_copy(update=changes)


class Experiments(Strict):
    """The whole experiments.yaml.

    Attributes:
        arms: name -> arm, in the order of the report; what an arm is made from is above it.
        sampled: the arms whose models sample candidates.
        labels: name -> what a reader calls the arm.
    """

    arms: dict[Name, Arm]
    sampled: list[Name] = Field(default=[])
    labels: dict[Name, str]

    @model_validator(mode="after")
    def _a_label_each(self) -> "Experiments":
        if different := set(self.arms) ^ set(self.labels):
            raise ValueError(f"labels: '{min(different)}' has an arm or a label, but not both")
        labels = list(self.labels.values())
        if len(set(labels)) < len(labels):
            raise ValueError(f"labels: '{max(labels, key=labels.count)}' is there twice")
        return self

    @model_validator(mode="after")
    def _made_from_arms_above(self) -> "Experiments":
        if PRETRAINED in self.arms:
            raise ValueError(f"arms: '{PRETRAINED}' is the base model; choose another name")
        for name in self.sampled:
            if name not in self.arms or not self.arms[name].trains:
                raise ValueError(f"sampled: '{name}' is no arm that is trained")
        above: list[str] = []
        for name, arm in self.arms.items():
            if arm.start not in (PRETRAINED, *above):
                raise ValueError(
                    f"arms.{name}.start: '{arm.start}' is neither '{PRETRAINED}' nor an arm above "
                    "that has a model"
                )
            known = [other for other in above if other in self.sampled or not arm.select]
            if arm.made_from and arm.made_from not in known:
                raise ValueError(
                    f"arms.{name}.source: '{arm.source}': choose from the arms above: {known}"
                )
            if arm.has_model:
                above.append(name)
        return self


Arms = Mapping[str, Arm]
