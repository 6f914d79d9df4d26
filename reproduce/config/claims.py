"""A schema of paper/claims.yaml: what the paper claims, and what decides each claim here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.params import TableName
from reproduce.config.types import Strict

Label = Literal["C", "S", "I"]
Direction = Literal["below 0", "above 0"]


class Difference(Strict):
    """A paired difference of two arms ("experiment/arm") in one measure.

    `both` is the mean of instruction following and faithfulness.
    """

    arm: str
    against: str
    measure: Literal["instruction", "faithfulness", "task", "both"]
    direction: Direction

    @model_validator(mode="after")
    def _two_arms(self) -> "Difference":
        if self.arm == self.against:
            raise ValueError(f"'{self.arm}' is compared with itself")
        return self


class Reported(Strict):
    """A number that somebody reports as the paper's, with what it is said to measure."""

    value: str
    of: str
    source: str
    label: Label


class Takes(Strict):
    """What the runs that decide a claim take, all that they start from included.

    Attributes:
        minutes: of the clock, on the machine that the file names for the profile.
        memory_gb: of the largest process, or of a GPU where there are some.
    """

    minutes: Annotated[float, Field(gt=0)]
    memory_gb: Annotated[float, Field(gt=0)]


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
        label: C for a primary source, S for a third party's digest, I for what is inferred.
        tables: the tables that bear on it.
        decided_by: every one of these differences gets a verdict.
        shown_too: differences that stand beside them.
        reported: the numbers that were found for it.
        takes: profile -> what it takes there.
    """

    claim: str
    source: str
    label: Label
    tables: Annotated[list[TableName], Field(min_length=1)]
    decided_by: Annotated[list[Difference], Field(min_length=1)]
    shown_too: list[Difference] = Field(default=[])
    reported: list[Reported] = Field(default=[])
    takes: dict[str, Takes] = Field(default={})

    @property
    def differences(self) -> list[Difference]:
        """Those that decide the claim, then those that are shown beside them."""
        return [*self.decided_by, *self.shown_too]

    @model_validator(mode="after")
    def _each_once(self) -> "Claim":
        found = self.differences
        if len({(each.arm, each.against, each.measure) for each in found}) < len(found):
            raise ValueError(f"'{self.claim}' names one difference twice")
        return self


class Claims(Strict):
    """The whole claims.yaml.

    Attributes:
        smallest_effect: the smallest difference that counts.
        soundness: tables that no claim rests on, but the trust in all others.
    """

    smallest_effect: Annotated[float, Field(gt=0, lt=1)]
    claims: Annotated[list[Claim], Field(min_length=1)]
    soundness: list[TableName] = Field(default=[])
    not_tested: list[Untested] = Field(default=[])

    @model_validator(mode="after")
    def _each_once(self) -> "Claims":
        names = [each.claim for each in self.claims]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the claim {twice[0]!r} is there twice")
        return self
