"""The schemas of paper/claims.yaml (what the paper claims) and paper/predictions.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reproduce.config.params import Strict


class Pair(Strict):
    """A paired difference of two arms in one metric.

    `both` is the mean of instruction following and faithfulness.
    """

    arm: str
    against: str
    metric: Literal[
        "instruction", "faithfulness", "faithful_answer", "task", "both", "joint_success"
    ]


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


class Predictions(Strict):
    """The whole predictions.yaml.

    Attributes:
        seeds: of the registered runs; pilots had others.
        rules: how the runs are made and decided.
        changes: what was changed after the registration; date and reason of each.
    """

    seeds: list[int]
    rules: list[str]
    predictions: dict[str, Prediction]
    changes: list[dict[str, Any]] = Field(default=[])


class Claim(Strict):
    """A claim of the paper.

    Attributes:
        source: where the paper, or who else, says so.
        label: how it is known: C from a primary source, S from a third party's summary, I inferred.
        primary: every one of these differences gets a verdict that decides the claim.
        secondary: differences that are reported next to them.
        requires: differences without which the claim is not testable.
        reported: the paper's numbers, as far as they are known: value, of, source, label.
    """

    claim: str
    source: str
    label: Literal["C", "S", "I"]
    primary: Annotated[list[Difference], Field(min_length=1)]
    secondary: list[Difference] = Field(default=[])
    requires: list[Difference] = Field(default=[])
    reported: list[dict[str, str]] = Field(default=[])

    @property
    def differences(self) -> list[Difference]:
        """Return the primary differences, then the secondary ones."""
        return [*self.primary, *self.secondary]


class Claims(Strict):
    """The whole claims.yaml, by id ("C1").

    Attributes:
        minimum_effect: the smallest difference of interest, as a share of the metric's range.
        not_tested: claims that nothing here decides: claim, source, label, reason.
    """

    minimum_effect: Annotated[float, Field(gt=0, lt=1)]
    claims: Annotated[dict[str, Claim], Field(min_length=1)]
    not_tested: list[dict[str, str]] = Field(default=[])
