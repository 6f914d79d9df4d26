"""The schemas of paper/claims.yaml (what the paper claims) and paper/predictions.yaml."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.params import Strict, TableName

Label = Literal["C", "S", "I"]
"""How a fact is known: C from a primary source, S from a third party's summary, I inferred."""


class Pair(Strict):
    """A paired difference of two arms in one metric.

    `both` is the mean of instruction following and faithfulness.
    """

    arm: str
    against: str
    metric: Literal[
        "instruction", "faithfulness", "faithful_answer", "task", "both", "joint_success"
    ]

    @model_validator(mode="after")
    def _two_arms(self) -> "Pair":
        if self.arm == self.against:
            raise ValueError(f"'{self.arm}' is compared with itself")
        return self


class Difference(Pair):
    """A difference with the side of 0 on which it is claimed to be.

    With `equal_steps` both arms must have as many steps from their common start.
    """

    direction: Literal["below 0", "above 0"]
    equal_steps: bool = False


class Prediction(Pair):
    """What was predicted of a difference before the runs.

    Attributes:
        statement: the prediction in words.
        profiles: whose results are compared with it.
        expected: the range in which the mean should lie.
        refuted_above, refuted_below: it is refuted if the whole interval lies beyond this number;
            one of the two is given.
    """

    statement: str
    profiles: Annotated[list[str], Field(min_length=1)]
    expected: Annotated[list[float], Field(min_length=2, max_length=2)]
    refuted_above: float | None = None
    refuted_below: float | None = None

    @property
    def refuted(self) -> str:
        """Return what refutes it, in words."""
        if self.refuted_above is not None:
            return f"above {self.refuted_above:+g}"
        return f"below {self.refuted_below:+g}"

    def is_refuted_by(self, low: float, high: float) -> bool:
        """Return whether an interval lies beyond the number that refutes it."""
        if self.refuted_above is not None:
            return low > self.refuted_above
        return self.refuted_below is not None and high < self.refuted_below

    @model_validator(mode="after")
    def _refutable(self) -> "Prediction":
        if (self.refuted_above is None) == (self.refuted_below is None):
            raise ValueError("give the number that refutes it: 'refuted_above' or 'refuted_below'")
        return self


class Change(Strict):
    """A change of the predictions after their registration."""

    date: date
    reason: str


class Predictions(Strict):
    """The whole predictions.yaml.

    Attributes:
        seeds: of the registered runs; pilots had others.
        rules: how the runs are made and decided.
        changes: what was changed after the registration.
    """

    seeds: list[int]
    rules: list[str]
    predictions: dict[str, Prediction]
    changes: list[Change] = Field(default=[])


class Reported(Strict):
    """A number that somebody reports as the paper's, with what it is said to measure."""

    value: str
    of: str
    source: str
    label: Label


class Untested(Strict):
    """A claim of the paper that nothing here decides, with the reason."""

    claim: str
    source: str
    label: Label
    reason: str


class Claim(Strict):
    """A claim of the paper.

    Attributes:
        source: where the paper, or who else, says so.
        tables: the tables that bear on it.
        primary: every one of these differences gets a verdict that decides the claim.
        secondary: differences that are reported next to them.
        requires: differences without which the claim is not testable.
        reported: the paper's numbers, as far as they are known.
    """

    claim: str
    source: str
    label: Label
    tables: Annotated[list[TableName], Field(min_length=1)]
    primary: Annotated[list[Difference], Field(min_length=1)]
    secondary: list[Difference] = Field(default=[])
    requires: list[Difference] = Field(default=[])
    reported: list[Reported] = Field(default=[])

    @property
    def differences(self) -> list[Difference]:
        """Return the primary differences, then the secondary ones."""
        return [*self.primary, *self.secondary]

    @model_validator(mode="after")
    def _each_once(self) -> "Claim":
        keys = {(d.arm, d.against, d.metric) for d in self.differences}
        if len(keys) < len(self.differences):
            raise ValueError(f"'{self.claim}' names one difference twice")
        return self


class Claims(Strict):
    """The whole claims.yaml, by id ("C1").

    Attributes:
        minimum_effect: the smallest difference of interest, as a share of the metric's range.
        context: tables that no claim depends on; they say how far the others can be trusted.
    """

    minimum_effect: Annotated[float, Field(gt=0, lt=1)]
    claims: Annotated[dict[str, Claim], Field(min_length=1)]
    context: list[TableName] = Field(default=[])
    not_tested: list[Untested] = Field(default=[])

    @model_validator(mode="after")
    def _distinct(self) -> "Claims":
        names = [claim.claim for claim in self.claims.values()]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"claims: {duplicates[0]!r} is there twice")
        return self
