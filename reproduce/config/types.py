"""What all blocks of parameters have in common: unknown and mistyped keys are errors."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Revision = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Also a name of a folder or a file."""


def _not_reserved(name: str) -> str:
    if name in ("IF", "CD", "mean", "all"):
        raise ValueError(f"'{name}' has another meaning in mixtures and tables")
    return name


SetName = Annotated[Name, AfterValidator(_not_reserved)]


class Strict(BaseModel):
    """A block of parameters in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
