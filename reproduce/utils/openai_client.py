"""Chat completions from a server that speaks OpenAI's protocol, several at a time.

The `openai` package retries status 408, 409, 429 and 5xx, timeouts and dropped connections, with
growing waits or as long as the server's Retry-After says. It does not retry an answer that is no
completion; this module does.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from reproduce.utils.files import UserError

if TYPE_CHECKING:
    from openai import OpenAI

    from reproduce.config import JudgeServer

Messages = list[dict[str, str]]


class EndpointError(UserError):
    """A server without key, out of reach or budget, or that gives no usable answer."""


@dataclass(frozen=True)
class Answer:
    """What the model said ("" for nothing), and the server's name for the model."""

    text: str
    model: str


def read_key(variable: str) -> str:
    """Return the key in an environment variable; EndpointError, without its value, if unusable."""
    key = os.environ.get(variable, "").strip() if variable else "none"  # openai wants some key.
    if not key:
        raise EndpointError(
            f"the environment variable {variable} is not set, and should hold the server's key "
            '(key: "" is for a server that needs none)'
        )
    # The HTTP library would quote such a key in its error.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise EndpointError(f"the environment variable {variable} must hold one word of ASCII")
    return key


def make_client(server: "JudgeServer") -> "OpenAI":
    """Return a client of the server; EndpointError if the key is missing."""
    from openai import DefaultHttpxClient, OpenAI

    # The environment's proxy is for other machines.
    is_local = urlsplit(server.url).hostname in ("localhost", "127.0.0.1", "::1")
    return OpenAI(
        base_url=server.url,
        api_key=read_key(server.key),
        timeout=server.timeout,
        max_retries=server.attempts - 1,
        http_client=DefaultHttpxClient(trust_env=not is_local),
    )


def complete(
    server: "JudgeServer",
    model: str,
    conversations: Sequence[Messages],
    settings: Mapping[str, Any],
    keep: Callable[[int, Answer], None],
) -> None:
    """Call `keep(number of the conversation, answer)`, from several threads, as answers arrive.

    `settings` are those of the protocol (temperature, ...). After a request that fails for good
    no new one is sent; those under way are awaited and kept.

    Raises:
        EndpointError: no key, or a request failed for good; the message never has the key.
    """
    client = make_client(server)
    failed = threading.Event()

    def work(number: int) -> None:
        if failed.is_set():
            return
        try:
            keep(number, _answer(client, server, model, conversations[number], settings))
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(server.concurrency) as pool:
        futures = [pool.submit(work, number) for number in range(len(conversations))]
        try:
            for future in tqdm(as_completed(futures), model, len(futures), disable=None):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _answer(
    client: "OpenAI", server: "JudgeServer", model: str, messages: Messages,
    settings: Mapping[str, Any],
) -> Answer:  # fmt: skip
    from openai import OpenAIError

    create: Any = client.chat.completions.create
    for _ in range(server.attempts):
        try:
            completion = create(model=model, messages=messages, **settings)
            return Answer(completion.choices[0].message.content or "", completion.model or "")
        except OpenAIError as error:
            # Some servers repeat the key that they refuse. Not chained: the request's headers,
            # which a debugger may show, have the key, too.
            words = f"{error} {error.__cause__ or ''}".replace(client.api_key, "***").strip()
            raise EndpointError(f"{server.url}: {words}") from None
        except (ValueError, AttributeError, IndexError, TypeError):
            continue  # Truncated, or no completion.
    raise EndpointError(
        f"{server.url}: {server.attempts} answers are no chat completion; the address usually "
        "ends in /v1"
    )
