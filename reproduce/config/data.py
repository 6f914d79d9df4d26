"""A schema of what a study reads: a generated world, or public text."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.types import Count, Revision, SetName, Strict


class WorldData(Strict):
    """The generated world: its people and the number of its texts and prompts."""

    people: Annotated[int, Field(ge=6, le=96)]
    pretraining_texts: Count
    train: Count
    evaluation: Count


class RealData(Strict):
    """Public text: for each data set the bounds that sources.real_examples takes."""

    sets: dict[str, dict[str, Annotated[int, Field(ge=0)]]]


Layout = Literal[
    "alpaca", "dolly", "sharegpt", "self-instruct", "mrqa-nq", "cnn-dailymail", "ms-marco"
]
"""Layouts of rows that sources.layouts reads."""


class HubSet(Strict):
    """A data set of a hub, at a commit, or in a local folder (no revision).

    Attributes:
        repo: "owner/name" on the hub, the address of a repository of files ("https://..."), or a
            folder.
        revision: the commit, 40 digits.
        config: the configuration of the repository, where it has several.
        files: split -> patterns of its files, where the repository declares no splits.
        layout: how its rows are read.
        train: the split that training examples come from; null for none.
        evaluation: the split that evaluation examples come from; null for none. Where both name
            one split, its groups are divided.
        counts: how many examples are taken for "train" and "evaluation".
        rows: read at most so many rows of a split; null reads all.
        context_words: longest context, in words between white space; null sets no bound.
        response_words: longest gold response.
        prompt_bytes: longest prompt, in UTF-8: no more tokens than that come of it where a
            tokenizer falls back to bytes.
    """

    repo: str
    revision: Revision | None = None
    config: str | None = None
    files: dict[str, str | list[str]] | None = None
    layout: Layout
    train: str | None = None
    evaluation: str | None = None
    counts: dict[Literal["train", "evaluation"], Count]
    rows: Count | None = None
    context_words: Count | None = None
    response_words: Count | None = None
    prompt_bytes: Count | None = None

    @model_validator(mode="after")
    def _splits(self) -> "HubSet":
        for part in self.counts:
            if getattr(self, part) is None:
                raise ValueError(f"counts.{part}: '{self.repo}' names no split for '{part}'")
        return self


class HubData(Strict):
    """Data sets of a hub, by the name that tables give them.

    With `verifiable`, instructions get constraints that a program can check.
    """

    sets: dict[SetName, HubSet]
    verifiable: bool = False


class Data(Strict):
    """Where the text comes from: exactly one of `world`, `real` and `hub`."""

    seed: int
    world: WorldData | None = None
    real: RealData | None = None
    hub: HubData | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Data":
        if sum(origin is not None for origin in (self.world, self.real, self.hub)) != 1:
            raise ValueError("give exactly one of 'world', 'real' and 'hub'")
        return self
