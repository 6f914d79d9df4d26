"""A schema of params.yaml: the scale of a study, its data, model and judges."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.data import Data
from reproduce.config.generation import Candidates, Generation
from reproduce.config.judging import Judging, Validation
from reproduce.config.servers import Servers
from reproduce.config.training import Base, Continuation, Hardware, Training
from reproduce.config.types import Strict

TableName = Literal[
    "two-stage", "trajectory", "methods", "other-measures", "data-size", "drivers", "controls",
    "mechanism", "outcomes", "measures", "instructions", "rewards", "data-sets", "seeds", "health",
    "judges", "own-answers", "claims",
]  # fmt: skip
"""The tables for readers, in the order of the report."""


class Statistics(Strict):
    """The bootstrap: resamples, confidence level and seed."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: Annotated[int, Field(ge=0)]


class Params(Strict):
    """The whole params.yaml of a profile; `captions` are remarks below tables, by their names."""

    profile: str
    package: str
    lock: str
    claims: str
    seeds: Annotated[list[int], Field(min_length=1)]
    data: Data
    base: Base
    training: Training
    continuation: Continuation
    generation: Generation
    candidates: Candidates
    judging: Judging
    validation: Validation
    statistics: Statistics
    hardware: Hardware
    captions: dict[TableName, str] = Field(default={})
    servers: Servers = Servers()

    @property
    def for_gpus(self) -> bool:
        """Return whether the profile is made for GPUs."""
        hardware = self.hardware
        return hardware.devices > 1 or bool(hardware.deepspeed or self.base.published)

    def in_precision(self, precision: Literal["fp32", "bf16"]) -> "Params":
        """Return the parameters with another `hardware.precision`."""
        hardware = self.hardware.model_copy(update={"precision": precision})
        return self.model_copy(update={"hardware": hardware})

    @model_validator(mode="after")
    def _batches_for_all_devices(self) -> "Params":
        for name, found in (("training", self.training), ("base.training", self.base.training)):
            at_once = found.micro_batch_size * self.hardware.devices if found else 1
            if found and found.batch_size % at_once:
                raise ValueError(
                    f"{name}.batch_size: {found.batch_size} is no multiple of micro_batch_size "
                    f"{found.micro_batch_size} on {self.hardware.devices} devices"
                )
        return self

    @model_validator(mode="after")
    def _rows_within_the_model(self) -> "Params":
        shape = self.base.tiny or (self.base.published and self.base.published.shape)
        for name, found in (("training", self.training), ("base.training", self.base.training)):
            if found and shape and found.max_length > shape.max_positions:
                raise ValueError(
                    f"{name}.max_length: {found.max_length} tokens, but the model has "
                    f"{shape.max_positions} positions"
                )
        new = self.generation.max_new_tokens
        if shape and self.training.max_length + new > shape.max_positions:
            raise ValueError(
                f"training.max_length: a prompt of up to {self.training.max_length} tokens and "
                f"generation.max_new_tokens {new} are more than the model's {shape.max_positions} "
                "positions"
            )
        return self

    @model_validator(mode="after")
    def _judge_and_server(self) -> "Params":
        if (self.judging.rated is None) != (self.servers.judge is None):
            raise ValueError("servers.judge goes with judging.rated, and only with it")
        return self

    @model_validator(mode="after")
    def _distinct_seeds(self) -> "Params":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} names one seed twice")
        return self
