"""Chat completions from a server that speaks OpenAI's protocol, several at a time.

The `openai` package retries status 408, 409, 429 and 5xx, timeouts and dropped connections, with
growing waits or as long as the server's Retry-After says.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from reproduce.utils.files import UserError

if TYPE_CHECKING:
    from openai import OpenAI

    from reproduce.config import JudgeServer

Messages = list[dict[str, str]]


def read_key(variable: str) -> str:
    """Return the key in an environment variable; UserError, without its value, if unusable."""
    key = os.environ.get(variable, "").strip() if variable else "none"  # openai wants some key.
    if not key:
        raise UserError(
            f"the environment variable {variable} is not set, and should hold the server's key "
            '(key: "" is for a server that needs none)'
        )
    # The HTTP library would quote such a key in its error.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"the environment variable {variable} must hold one word of ASCII")
    return key


def make_client(server: "JudgeServer") -> "OpenAI":
    """Return a client of the server; UserError if the key is missing."""
    from openai import OpenAI

    return OpenAI(
        base_url=server.url,
        api_key=read_key(server.key),
        timeout=server.timeout,
        max_retries=server.attempts - 1,
    )


def complete(
    server: "JudgeServer",
    model: str,
    conversations: Sequence[Messages],
    settings: Mapping[str, Any],
    keep: Callable[[int, str], None],
) -> list[str]:
    """Call `keep(number of the conversation, text)`, from several threads, as answers arrive.

    `settings` are those of the protocol (temperature, ...). Returns, for each conversation without
    a complete answer, why.

    Raises UserError, without the key, for a missing key and for an error that concerns all
    requests: a key, address or model that the server rejects, its rate limit, no connection.
    No new request is sent then; answers to those under way are kept.
    """
    from openai import (
        APIConnectionError,
        AuthenticationError,
        NotFoundError,
        OpenAIError,
        RateLimitError,
    )  # fmt: skip

    client = make_client(server)
    create: Any = client.chat.completions.create

    def ask(number: int) -> str:
        """Return why there is no complete answer, "" if there is one."""
        try:
            choice = create(model=model, messages=conversations[number], **settings).choices[0]
            text = (choice.message.content or "").strip()
            is_complete = choice.finish_reason == "stop"
        except OpenAIError as error:
            # Some servers repeat the key that they refuse. Not chained: the request's headers,
            # which a debugger may show, have the key, too.
            words = f"{server.url}: {error} {error.__cause__ or ''}".replace(client.api_key, "***")
            for_all = AuthenticationError | NotFoundError | RateLimitError | APIConnectionError
            if isinstance(error, for_all):
                raise UserError(words.strip()) from None
            return words.strip()
        except (ValueError, LookupError, AttributeError, TypeError):
            return f"{server.url}: no chat completion; the address usually ends in /v1"
        if not is_complete:
            return f"cut off: {text}"
        keep(number, text)
        return ""

    with ThreadPoolExecutor(server.concurrency) as pool:
        futures = [pool.submit(ask, number) for number in range(len(conversations))]
        try:
            done = tqdm(as_completed(futures), model, len(futures), disable=None)
            return [problem for future in done if (problem := future.result())]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
