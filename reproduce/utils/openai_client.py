"""Requests to a server of OpenAI's protocol: tried again where that helps, some under way together.

Trying again is the `openai` package's: on status 408, 409, 429 and 5xx, a timeout or a dropped
connection it waits as long as Retry-After says (up to two minutes), else half a second, doubled
each time up to 8 seconds, less up to a quarter by chance. What it lets through, an answer that is
no completion, is asked for again here.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from reproduce.utils.progress import told

if TYPE_CHECKING:
    from openai import OpenAI

Messages = list[dict[str, str]]
R = TypeVar("R")

NO_KEY = "none"
"""Sent to a server that asks for no key: the client refuses to send an empty one."""
LONGEST = 300
"""Characters of a server's own words that a message repeats."""


class EndpointError(Exception):
    """A server that cannot be reached, refuses a request, or gives no usable answer."""


@dataclass(frozen=True)
class Endpoint:
    """A server, and how it is asked.

    Attributes:
        place: the block of parameters that says all this, for messages.
        url: the base address, "/v1" included.
        model: what the server calls its model.
        timeout: seconds that one try may take.
        attempts: how often a request is tried.
        concurrency: requests that are under way together.
        variable: the environment variable that the key comes from; "" for none.
    """

    place: str
    url: str
    model: str
    timeout: float
    attempts: int
    concurrency: int
    variable: str = ""


@dataclass(frozen=True)
class Request:
    """The messages of a conversation, and settings of the protocol (temperature, ...)."""

    messages: Messages
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What the model said ("" for nothing), and which model the server says that it was.

    It has not `ended` where the server says that a limit on tokens cut it off.
    """

    text: str
    model: str
    ended: bool = True


Keep = Callable[[int, Answer], None]


def key_of(place: str, variable: str) -> str:
    """Return the key in an environment variable; raise EndpointError by its name if there is none.

    A server that asks for no key has the variable "".
    """
    key = os.environ.get(variable, "").strip() if variable else NO_KEY
    if not key:
        raise EndpointError(
            f"the environment variable {variable} is not set, and {place}.key says that it holds "
            'the key; set it, or write key: "" for a server that asks for none'
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        # Here, because the client would show it in its complaint.
        raise EndpointError(f"the environment variable {variable} holds no key: set it to one line")
    return key


def ask(
    endpoint: Endpoint, requests: Sequence[Request], title: str, keep: Keep | None = None
) -> list[Answer]:
    """Return the answers, in the order of the requests.

    `keep(number, answer)` is called as each arrives, from several threads. At the first request
    that fails for good no more are sent; those under way are waited for and kept.

    Raises:
        EndpointError: no key, or a request failed for good; the message never holds the key.
    """
    key = key_of(endpoint.place, endpoint.variable)
    if not requests:
        return []
    client = _client(endpoint, key)
    failures: list[EndpointError] = []

    def work(number: int) -> Answer | None:
        if failures:
            return None
        try:
            answer = _answer(client, endpoint, requests[number], key)
        except EndpointError as error:
            failures.append(error)
            return None
        if keep:
            keep(number, answer)
        return answer

    found = _side_by_side(work, len(requests), endpoint.concurrency, title)
    if failures:
        raise failures[0]
    return [answer for answer in found if answer]


def _side_by_side(work: Callable[[int], R], count: int, workers: int, title: str) -> list[R]:
    """Return `work` of each number below `count`, in order, done in so many threads."""
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(work, number) for number in range(count)]
        done = as_completed(futures)
        for _ in told(range(count), title):
            next(done).result()
    except BaseException:
        # After Ctrl-C nobody waits for answers that are on their way; those that arrive until
        # the process ends are kept.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return [future.result() for future in futures]


def _client(endpoint: Endpoint, key: str) -> "OpenAI":
    from openai import DefaultHttpxClient, OpenAI

    # A proxy of the environment is for the world outside, not for a server on this machine.
    local = urlsplit(endpoint.url).hostname in ("localhost", "127.0.0.1", "::1")
    return OpenAI(
        base_url=endpoint.url,
        api_key=key,
        timeout=endpoint.timeout,
        max_retries=endpoint.attempts - 1,
        http_client=DefaultHttpxClient(trust_env=not local),
    )


def _answer(client: "OpenAI", endpoint: Endpoint, request: Request, key: str) -> Answer:
    from openai import OpenAIError

    create: Any = client.chat.completions.create
    for _ in range(endpoint.attempts):
        try:
            found = create(model=endpoint.model, messages=request.messages, **request.settings)
        except OpenAIError as error:
            # Not chained: its request, which a debugger may show, has the key in its headers.
            raise EndpointError(_said(error, endpoint, key)) from None
        except ValueError:
            continue  # No JSON, or cut off.
        with contextlib.suppress(AttributeError, IndexError, TypeError):
            choice = found.choices[0]
            ended = choice.finish_reason != "length"
            return Answer(choice.message.content or "", found.model or "", ended)
    raise EndpointError(
        f"{endpoint.url} answers with something other than a chat completion, after "
        f"{endpoint.attempts} attempts; check {endpoint.place}.url, it usually ends in /v1"
    )


def _said(error: Any, endpoint: Endpoint, key: str) -> str:
    """Return a failure for good as one message: what happened, and what to do about it."""
    url, place, tries = endpoint.url, endpoint.place, f"after {endpoint.attempts} attempts"
    again = f"run it again, or change {place}.attempts"
    status = getattr(error, "status_code", None)
    if status is None:
        name = type(error).__name__
        if name == "APITimeoutError":
            return f"{url} gives no answer within {endpoint.timeout:g} s, {tries}; {again}"
        reason = error.__cause__ or error
        return f"{url} cannot be reached, {tries} ({reason}); check {place}.url, or {again}"
    words = _words(error, key)
    if status in (401, 403):
        whose = f"the key in {endpoint.variable}" if endpoint.variable else "a request without key"
        return f"{url} refuses {whose} (status {status}{words}); check it and {place}.key"
    if status == 404:
        return (
            f"{url} knows no model '{endpoint.model}', or is no such address "
            f"(status 404{words}); check {place} and the name of the model"
        )
    if status == 429 or status >= 500:
        return f"{url} answers with status {status}, {tries}{words}; {again}"
    return f"{url} refuses the request (status {status}{words}); check {place}"


def _words(error: Any, key: str) -> str:
    body = error.body.get("message") if isinstance(error.body, dict) else None
    words = " ".join(str(body or error.message).split())
    if key != NO_KEY:
        words = words.replace(key, "***")  # Some servers repeat the key that they refuse.
    return f": {words[:LONGEST]}"
