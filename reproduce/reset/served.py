"""Candidates from a server of OpenAI's protocol that runs for as long as they are drawn."""

import contextlib
import json
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from reproduce.config import Decoding, Generation, SamplerServer, Served
from reproduce.generation.generate import Response
from reproduce.reset.tether import tethered
from reproduce.schema import Example
from reproduce.utils.determinism import named_seed
from reproduce.utils.openai_client import Endpoint, EndpointError, Request, ask

if TYPE_CHECKING:
    from subprocess import Popen

    from reproduce.reset.sample import Respond

PLACE = "servers.sampler"
"""Where a profile tells how the server is asked."""
TAIL = 2000
"""Bytes of a server's output that a message repeats."""


@contextlib.contextmanager
def served(
    settings: Served, server: SamplerServer, model: Path, bounds: Generation
) -> Iterator["Respond"]:
    """Start the server for the checkpoint in `model`, yield what draws responses, stop it.

    Raises EndpointError, with the end of its output, where the server dies or is not ready within
    `server.patience` seconds.
    """
    port = _free_port()
    filled = {"{model}": str(model.resolve()), "{port}": str(port)}
    command = [_filled(word, filled) for word in shlex.split(settings.command)]
    endpoint = Endpoint(
        place=PLACE, url=f"http://127.0.0.1:{port}/v1", model=filled["{model}"],
        timeout=server.timeout, attempts=server.attempts, concurrency=server.concurrency,
    )  # fmt: skip
    with tempfile.TemporaryFile() as output, tethered(command, output) as process:
        _await(process, endpoint.url, settings.command, server.patience, output)
        try:
            yield partial(responses, endpoint, settings, bounds)
        except EndpointError as error:
            raise EndpointError(f"{error}\n{_tail(output)}") from None


def responses(
    endpoint: Endpoint,
    settings: Served,
    bounds: Generation,
    examples: Sequence[Example],
    decoding: Decoding,
    seed: int,
) -> list[list[Response]]:
    """Return `decoding.samples` responses to each example, in their order, without outer space.

    Each sample has a seed of its own, made of `seed`, its example and its number, so that a server
    that honours seeds gives the same again, in whatever order it is asked.

    Raises EndpointError for a raw prompt, which is no turn of a chat, or where a request fails.
    """
    if raw := [example.id for example in examples if example.raw]:
        raise EndpointError(
            f"candidates.served draws no continuations of plain text, as of {raw[0]}"
        )
    requests = [
        Request(
            [{"role": "user", "content": example.prompt}],
            {"max_tokens": bounds.max_new_tokens, "seed": named_seed(seed, example.id, number),
             **options(settings, decoding)},
        )
        for example in examples
        for number in range(decoding.samples)
    ]  # fmt: skip
    answers = ask(endpoint, requests, "candidates")
    found = [Response(answer.text.strip(), answer.ended) for answer in answers]
    count = decoding.samples
    return [found[begin : begin + count] for begin in range(0, len(found), count)]


def options(settings: Served, decoding: Decoding) -> dict[str, Any]:
    """Return the decoding as the server understands it, complete: no default of it or the model.

    vLLM reads top_k beside the settings that OpenAI has names for; -1 means no bound in every
    version of it, 0 only in later ones. The server of transformers refuses top_k, samples only if a
    generation_config says so, and then takes what that leaves out from the model.
    """
    named = {"temperature": decoding.temperature, "top_p": decoding.top_p}
    if settings.speaks == "vllm":
        return {**named, "extra_body": {"top_k": decoding.top_k or -1}}
    more = {"do_sample": True, "top_k": decoding.top_k, **named}
    chosen = more if decoding.temperature else {"do_sample": False}
    return {"extra_body": {"generation_config": json.dumps(chosen)}}


def _await(
    process: "Popen[bytes]", url: str, command: str, patience: float, output: IO[bytes]
) -> None:
    until = time.monotonic() + patience
    while not _answers(url):
        if (status := process.poll()) is not None:
            raise EndpointError(
                f"the server of candidates.served ended with status {status} before it answered: "
                f"{command}\n{_tail(output)}"
            )
        if time.monotonic() > until:
            raise EndpointError(
                f"the server of candidates.served does not answer within {patience:g} s "
                f"({PLACE}.patience): {command}\n{_tail(output)}"
            )
        time.sleep(0.2)


def _answers(url: str) -> bool:
    """Return whether a server is ready: at /health, which most have, or where it lists models."""
    import urllib.error
    import urllib.request

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for address in (f"{url.removesuffix('/v1')}/health", f"{url}/models"):
        with contextlib.suppress(OSError, ValueError), direct.open(address, timeout=5) as found:
            if found.status == 200:
                return True
    return False


def _filled(word: str, values: dict[str, str]) -> str:
    for place, value in values.items():
        word = word.replace(place, value)
    return word


def _tail(output: IO[bytes]) -> str:
    # Not by seek and read: the server writes at the same place of the same open file.
    size = os.fstat(output.fileno()).st_size
    found = os.pread(output.fileno(), TAIL, max(0, size - TAIL))
    text = found.decode("utf-8", "replace").strip()
    return f"the server's output ends with:\n{text}" if text else "the server wrote nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
