"""A schema of the judges, and of how they are measured."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.types import Count, Revision, Strict

BY_ENTAILMENT = ("entailed", "summac")
"""Carriers of faithfulness that run from -1 (contradicted) to 1; all other scores from 0 to 1."""


class CrossEncoderTraining(Strict):
    """How the pipeline tunes an entailment model of its own."""

    epochs: Annotated[float, Field(gt=0)]
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    pairs: Count
    seed: Annotated[int, Field(ge=0)]


class Published(Strict):
    """A sequence classifier of the hub at a commit, or in a local folder (no revision)."""

    model: str
    revision: Revision | None = None


class Rated(Strict):
    """A served model that rates from 1 to 10 how well a response follows its instruction.

    Where its server is and how it is asked is told in `servers.judge`.

    Attributes:
        model: the name that the server gives the judge; as exact a version as it knows.
        prompt: a file of judges/prompts, without its ending.
        max_tokens: of one rating.
        max_unrated_share: a run with more ratings that cannot be read fails.
    """

    model: str
    prompt: Annotated[str, Field(pattern="^[a-z0-9-]+$")] = "single-v1"
    max_tokens: Count = 1024
    max_unrated_share: Annotated[float, Field(ge=0, le=1)] = 0.02


class Judging(Strict):
    """What judges faithfulness, and how many empty responses a run may have.

    Attributes:
        entailment: "symbolic" is exact in the generated world; "lexical" counts shared words;
            "trained" tunes a cross-encoder by `training`; "published" takes that of `published`.
        extractive: the figure that counts as the faithfulness of an extractive answer.
        abstractive: the figure that counts as the faithfulness of a summary.
        max_empty_share: a run with more empty responses fails.
        rated: a served judge of instruction following; without it, the share of the verifiable
            instructions that are followed.
    """

    entailment: Literal["symbolic", "lexical", "trained", "published"]
    training: CrossEncoderTraining | None = None
    published: Published | None = None
    extractive: Literal["entailed", "coverage", "k_precision"]
    abstractive: Literal["summac", "coverage", "k_precision"]
    max_empty_share: Annotated[float, Field(ge=0, le=1)]
    rated: Rated | None = None

    @property
    def carriers(self) -> dict[str, str]:
        """Return kind of example -> the figure that counts as its faithfulness."""
        return {"extractive": self.extractive, "abstractive": self.abstractive}

    @model_validator(mode="after")
    def _one_scale(self) -> "Judging":
        signed = {name in BY_ENTAILMENT for name in self.carriers.values()}
        if len(signed) > 1:
            raise ValueError(
                f"extractive: {self.extractive} and abstractive: {self.abstractive} have no mean: "
                f"{' and '.join(BY_ENTAILMENT)} run from -1 to 1, the others from 0"
            )
        return self

    @model_validator(mode="after")
    def _settings_of_the_model(self) -> "Judging":
        for name, given in (("training", self.training), ("published", self.published)):
            kind = "trained" if name == "training" else name
            if (self.entailment == kind) != (given is not None):
                raise ValueError(f"'{name}' goes with entailment '{kind}', and only with it")
        return self


class Validation(Strict):
    """How the judges are measured: right and wrong responses a data set, and what they must reach.

    A figure of faithfulness with an AUC below `least_auc` on wrong answers of the same passage,
    or with fewer than `least_trials` of them, carries no claim.
    """

    trials: Count
    least_trials: Count
    least_auc: Annotated[float, Field(ge=0.5, le=1)]
    seed: int

    @model_validator(mode="after")
    def _enough_trials(self) -> "Validation":
        if self.least_trials > self.trials:
            raise ValueError(
                f"least_trials {self.least_trials} of {self.trials} trials: no judge would pass"
            )
        return self
