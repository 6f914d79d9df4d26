"""A schema of where servers are and how they are asked, which decides no number.

No stage of the pipeline depends on it: a larger budget or another address makes no arm stale.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from reproduce.config.types import Count, Strict


def is_local(url: str) -> bool:
    """Return whether an address is one of this machine."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


class JudgeServer(Strict):
    """The server of the judge that `judging.rated` describes.

    Attributes:
        url: where the server speaks OpenAI's protocol ("https://api.openai.com/v1").
        key: the environment variable that holds the key, which is itself written nowhere; "" for
            a server that asks for none.
        budget: ratings by one model and prompt that the profile may ask for in all, over stages,
            seeds and reruns; no request is sent that would exceed it.
        concurrency: requests that are under way together, over all seeds.
        timeout: seconds that one request may take.
        attempts: how often a request is tried on status 429, 5xx, or no answer.
    """

    url: str
    key: Annotated[str, Field(pattern="^([A-Za-z_][A-Za-z0-9_]*)?$")] = "OPENAI_API_KEY"
    budget: Count
    concurrency: Count = 8
    timeout: Annotated[float, Field(gt=0)] = 120.0
    attempts: Count = 6

    @model_validator(mode="after")
    def _plain_address(self) -> "JudgeServer":
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            # Parameters are committed and logged, so they are no place for a password.
            raise ValueError("'url' must be http://host/... or https://host/..., without a login")
        if parts.query or parts.fragment:
            raise ValueError("'url' ends with its path: no '?' and no '#', a key goes into 'key'")
        return self


class SamplerServer(Strict):
    """The server of candidates that `candidates.served` starts.

    Attributes:
        concurrency: requests that are under way together.
        timeout: seconds that one request may take.
        attempts: how often a request is tried on status 429, 5xx, or no answer.
        patience: seconds that the server may take to start.
    """

    concurrency: Count = 32
    timeout: Annotated[float, Field(gt=0)] = 600.0
    attempts: Count = 6
    patience: Annotated[float, Field(gt=0)] = 900.0


class Servers(Strict):
    """The servers that a profile asks, if it asks any."""

    judge: JudgeServer | None = None
    sampler: SamplerServer = SamplerServer()
