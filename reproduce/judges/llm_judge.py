"""A served model as judge of instruction following: a rating from 1 to 10 a response.

The scale and the way a rating is read are those of single-answer grading in MT-bench (Zheng et
al., NeurIPS 2023; FastChat's code); the prompts in `prompts` are our own words.
"""

import contextlib
import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from reproduce.config import ConfigError, JudgeServer, Rated
from reproduce.judges.judge import HIGHEST_RATING, LOWEST_RATING, Rater
from reproduce.utils.files import text_id
from reproduce.utils.openai_client import (
    Answer,
    Endpoint,
    EndpointError,
    Messages,
    Request,
    ask,
    key_of,
)

Pair = tuple[str, str]

PLACE = "servers.judge"
"""Where a profile tells how the judge is asked."""
PROMPTS = Path(__file__).parent / "prompts"
_NUMBER = r"(\d+(?:\.\d*)?)"
_RATINGS = (re.compile(rf"\[\[{_NUMBER}\]\]"), re.compile(rf"\[{_NUMBER}\]"))
_DICTATED = re.compile(rf"\[(?=\[{_NUMBER}\]\])")
_PLACE = re.compile(r"\{(fence|instruction|response)\}")


def rater(settings: Rated, server: JudgeServer, cache: Path) -> Rater:
    """Return a `Rater` by the model of `settings` at a server; its answers are kept below `cache`.

    Raises ConfigError for a prompt that does not exist, EndpointError where the key is missing.
    """
    prompt = read_prompt(settings.prompt)
    key_of(PLACE, server.key)
    return partial(rate, settings, server, prompt, cache / _judge_id(settings, prompt))


def read_prompt(name: str) -> dict[str, str]:
    """Return the "system" and "user" texts of a prompt; ConfigError if there is no such prompt."""
    path = PROMPTS / f"{name}.yaml"
    if not path.is_file():
        known = sorted(each.stem for each in PROMPTS.glob("*.yaml"))
        raise ConfigError(f"judging.rated.prompt: '{name}' is not one of {known} (judges/prompts)")
    found: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def rate(
    settings: Rated,
    server: JudgeServer,
    prompt: dict[str, str],
    folder: Path,
    pairs: Sequence[Pair],
) -> list[float | None]:
    """Return the rating, 1 to 10, of each (instruction, response); None where it is unreadable.

    What `folder` holds an answer for is not asked again, equal pairs are asked once, and each
    answer is on the disk before the next one of its thread is asked for. The seeds of a stage,
    which are processes of their own, take turns, so that all this holds for them together.

    Raises EndpointError where the budget does not suffice, before anything is asked, or where a
    request fails for good; all answers until then are kept.
    """
    requests = {pair: _request(settings, prompt, *pair) for pair in pairs}
    keys = {pair: _key(request) for pair, request in requests.items()}
    with _opened(folder) as store:
        texts = {pair: store.get(key) for pair, key in keys.items()}
        missing = [pair for pair in requests if texts[pair] is None]
        refuse_beyond_budget(server.budget, len(store), len(requests), len(missing))

        def keep(number: int, answer: Answer) -> None:
            pair = missing[number]
            texts[pair] = json.dumps(asdict(answer), ensure_ascii=False)
            store.set(keys[pair], texts[pair])

        ask(_endpoint(settings, server), [requests[pair] for pair in missing], "ratings", keep)
    ratings = {pair: rating_of(json.loads(str(text))["text"]) for pair, text in texts.items()}
    unread = sum(rating is None for rating in ratings.values())
    print(
        f"  ratings: {len(ratings)} pairs, {len(missing)} asked, {len(ratings) - len(missing)} "
        f"cached, {unread} unreadable", flush=True,
    )  # fmt: skip
    return [ratings[pair] for pair in pairs]


def refuse_beyond_budget(budget: int, spent: int, wanted: int, missing: int) -> None:
    """Raise EndpointError if `missing` more ratings on top of `spent` would exceed the budget."""
    if spent + missing > budget:
        raise EndpointError(
            f"{PLACE}.budget: {budget} ratings, of which {spent} were asked for in "
            f"all; of the {wanted} that are needed now {wanted - missing} are cached and {missing} "
            f"are left to ask, so nothing was asked; a budget of {spent + missing} would suffice"
        )


def rating_of(answer: str) -> float | None:
    """Return the rating in a judge's answer, 1 to 10, or None if it gives none.

    The first [[number]] counts, else the first [number]. Source of the rule: FastChat's
    single-answer grading, which gives -1 where there is none; out of range is none, too.
    """
    for pattern in _RATINGS:
        if found := pattern.search(answer):
            rating = float(found[1])
            return rating if LOWEST_RATING <= rating <= HIGHEST_RATING else None
    return None


def conversation(prompt: dict[str, str], instruction: str, response: str) -> Messages:
    """Return the messages that ask for a rating of a response.

    Both texts stand between fences with a hash of the two, which neither can contain. A
    "[[10]]" in them is written "[ [10]]", so that a judge who quotes it does not rate by it.
    """
    whole = hashlib.sha256("\x1f".join((instruction, response)).encode()).hexdigest()
    filled = {
        "fence": f"<{whole[:20]}>",
        "instruction": _DICTATED.sub("[ ", instruction),
        "response": _DICTATED.sub("[ ", response),
    }
    # In one pass: a text that says "{response}" is not filled in.
    texts = {role: _PLACE.sub(lambda m: filled[m[1]], prompt[role]) for role in ("system", "user")}
    return [{"role": role, "content": text} for role, text in texts.items()]


def _request(settings: Rated, prompt: dict[str, str], instruction: str, response: str) -> Request:
    return Request(conversation(prompt, instruction, response), _decoding(settings))


def _decoding(settings: Rated) -> dict[str, Any]:
    return {"temperature": 0, "max_tokens": settings.max_tokens}


def _judge_id(settings: Rated, prompt: dict[str, str]) -> str:
    # Not the address: the same model is the same judge wherever it is served.
    parts = (settings.model, _decoding(settings), prompt)
    return text_id(json.dumps(parts, sort_keys=True, ensure_ascii=False))


def _key(request: Request) -> str:
    text = json.dumps(asdict(request), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _endpoint(settings: Rated, server: JudgeServer) -> Endpoint:
    return Endpoint(
        place=PLACE, url=server.url, model=settings.model, timeout=server.timeout,
        attempts=server.attempts, concurrency=server.concurrency, variable=server.key,
    )  # fmt: skip


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """Yield the answers in a folder, for this process alone; a killed one lets go of it, too."""
    import diskcache

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with diskcache.Cache(str(folder), eviction_policy="none", size_limit=1 << 40) as store:
            yield store
