"""A schema of generation: for evaluation, and for ReSet's candidates."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.types import Count, Name, Share, Strict


class Decoding(Strict):
    """One way to draw responses; temperature 0 is greedy."""

    temperature: Annotated[float, Field(ge=0, le=5)]
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Share = 1.0
    samples: Count = 1

    @model_validator(mode="after")
    def _greedy_once(self) -> "Decoding":
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("greedy decoding (temperature 0) gives one sample only")
        return self


class Generation(Strict):
    """Bounds of every generation."""

    max_new_tokens: Count
    batch_size: Count


class Served(Strict):
    """A server that samples the candidates, over OpenAI's protocol, in place of this process.

    How it is asked is told in `servers.sampler`.

    Attributes:
        command: starts it for a checkpoint, with {model} and {port} filled in
            ("vllm serve {model} --port {port}").
        speaks: how the server is told what OpenAI's protocol has no word for: "vllm" takes top_k
            beside the other settings, "transformers" all of them as a generation_config, without
            which it stays greedy at any temperature.
    """

    command: str
    speaks: Literal["vllm", "transformers"] = "vllm"

    @model_validator(mode="after")
    def _places(self) -> "Served":
        for place in ("{model}", "{port}"):
            if place not in self.command:
                raise ValueError(f"'command' does not say where {place} goes: {self.command}")
        return self


class Candidates(Strict):
    """ReSet's sampling: how many seen prompts a data set, and the decoding strategies.

    They are drawn in this process, or, with `served`, by a server.
    """

    prompts: Count
    strategies: Annotated[dict[Name, Decoding], Field(min_length=1)]
    served: Served | None = None
