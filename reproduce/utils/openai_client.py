"""Chat completions from a server that speaks OpenAI's protocol, several at a time.

The `openai` package retries status 408, 409, 429 and 5xx, timeouts and dropped connections, with
growing waits or as long as the server's Retry-After says. It does not retry an answer that is no
completion; this module does. A request that then still fails costs that one answer, unless its
error concerns all requests: a key, address or model that the server rejects, or its rate limit.
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

IN_A_ROW = 10
"""After so many refused requests in a row the server is taken to be down."""


class EndpointError(UserError):
    """A server without key, out of reach or budget, or that gives no usable answer."""


@dataclass(frozen=True)
class Answer:
    """What the model said ("" for nothing), its name at the server, and whether it had finished."""

    text: str
    model: str
    finished: bool


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
    max_refused: int,
) -> list[str]:
    """Call `keep(number of the conversation, answer)`, from several threads, as answers arrive.

    `settings` are those of the protocol (temperature, ...). Returns the server's words for each
    request that it refused. After an error no new request is sent; those under way are awaited
    and kept.

    Raises:
        EndpointError: no key, more than `max_refused` refused requests or IN_A_ROW in a row, or
            an error that concerns all requests; the message never has the key.
    """
    client = make_client(server)
    failed = threading.Event()
    refused: list[str] = []
    in_a_row = 0

    def work(number: int) -> str:
        if failed.is_set():
            return ""
        try:
            answer = _answer(client, server, model, conversations[number], settings)
            if isinstance(answer, str):
                return answer
            keep(number, answer)
        except BaseException:
            failed.set()
            raise
        return ""

    with ThreadPoolExecutor(server.concurrency) as pool:
        futures = [pool.submit(work, number) for number in range(len(conversations))]
        try:
            for future in tqdm(as_completed(futures), model, len(futures), disable=None):
                words = future.result()
                refused += [words] if words else []
                in_a_row = in_a_row + 1 if words else 0
                if len(refused) > max_refused or in_a_row == IN_A_ROW:
                    raise EndpointError(
                        f"{server.url}: {len(refused)} of {len(futures)} requests were refused; "
                        f"the last: {words}"
                    )
        except BaseException:
            failed.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return refused


def _answer(
    client: "OpenAI", server: "JudgeServer", model: str, messages: Messages,
    settings: Mapping[str, Any],
) -> Answer | str:  # fmt: skip
    """Return an answer, or the server's words for a request that it refuses."""
    from openai import AuthenticationError, NotFoundError, OpenAIError, RateLimitError

    create: Any = client.chat.completions.create
    for _ in range(server.attempts):
        try:
            completion = create(model=model, messages=messages, **settings)
            choice = completion.choices[0]
            text = _text(choice.message.content)
            return Answer(text, completion.model or "", choice.finish_reason == "stop")
        except OpenAIError as error:
            # Some servers repeat the key that they refuse. Not chained: the request's headers,
            # which a debugger may show, have the key, too.
            words = f"{error} {error.__cause__ or ''}".replace(client.api_key, "***").strip()
            if isinstance(error, AuthenticationError | NotFoundError | RateLimitError):
                raise EndpointError(f"{server.url}: {words}") from None
            return words
        except (ValueError, LookupError, AttributeError, TypeError):
            continue  # Truncated, or no completion.
    return f"{server.attempts} answers are no chat completion; the address usually ends in /v1"


def _text(content: Any) -> str:
    """Return the text of a message; some servers give it as a list of blocks."""
    if isinstance(content, list):
        return "".join(block["text"] for block in content if block["type"] == "text")
    if not isinstance(content, str | None):
        raise TypeError(f"{type(content).__name__} is no text")
    return content or ""
