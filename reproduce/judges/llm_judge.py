"""An LLM judge of instruction following: a rating from 1 to 10 per response.

Scale and reading of ratings are those of single-answer grading in MT-bench (Zheng et al.,
NeurIPS 2023; FastChat's code); the prompts in `prompts` are our own.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from reproduce.config import ConfigError, JudgeServer, LLMJudgeSettings, Params
from reproduce.utils.files import short_hash
from reproduce.utils.openai_client import (
    Answer,
    EndpointError,
    Messages,
    complete,
    read_key,
)

MIN_RATING, MAX_RATING = 1.0, 10.0
CACHE = Path(".cache/ratings")
"""The folder of the judges' answers, below the working directory."""
PROMPTS = Path(__file__).parent / "prompts"

_NUMBER = r"(\d+(?:\.\d*)?)"
_RATINGS = (re.compile(rf"\[\[{_NUMBER}\]\]"), re.compile(rf"\[{_NUMBER}\]"))
_DICTATED = re.compile(rf"\[(?=\[{_NUMBER}\]\])")
_FIELD = re.compile(r"\{(fence|instruction|response)\}")


def build_llm_judge(params: Params) -> "LLMJudge | None":
    """Return the LLM judge of a profile, None if it has none; nothing is sent yet.

    Raises ConfigError if its prompt does not exist, EndpointError if its key is missing.
    """
    settings, server = params.judging.llm_judge, params.servers.judge
    return LLMJudge(settings, server, CACHE) if settings and server else None


class LLMJudge:
    """Rates responses by a model on a server, within a budget; keeps every answer on disk."""

    def __init__(self, settings: LLMJudgeSettings, server: JudgeServer, cache: Path) -> None:
        """Check prompt and key; answers are kept in a folder of `cache`."""
        path = PROMPTS / f"{settings.prompt}.yaml"
        if not path.is_file():
            known = sorted(path.stem for path in PROMPTS.glob("*.yaml"))
            raise ConfigError(f"judging.llm_judge.prompt: {settings.prompt} is not one of {known}")
        read_key(server.key)
        self.prompt: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.server, self.model = server, settings.model
        self.decoding = {"temperature": 0, "max_tokens": settings.max_tokens}
        # Without the address: the same model is the same judge on every server.
        judge = json.dumps((self.model, self.decoding, self.prompt), sort_keys=True)
        self.folder = cache / short_hash(judge)

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return the rating, 1 to 10, of each (instruction, response); None if it is unreadable.

        Equal pairs are sent once, cached ones never. Each answer is on disk before its thread
        sends the next request. Processes take turns, so the budget holds for all of them.

        Raises:
            EndpointError: the budget is too small, and nothing was sent; or a request failed for
                good, and the answers until then are kept.
        """
        import diskcache

        distinct = list(dict.fromkeys(pairs))
        conversations = [conversation(self.prompt, *pair) for pair in distinct]
        keys = [hashlib.sha256(json.dumps(c).encode()).hexdigest() for c in conversations]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            # Unlike diskcache's locks, the system frees this one when a process is killed.
            fcntl.flock(lock, fcntl.LOCK_EX)
            store = diskcache.Cache(self.folder, eviction_policy="none", size_limit=1 << 40)
            missing = [number for number, key in enumerate(keys) if key not in store]
            needed = len(store) + len(missing)
            if needed > self.server.budget:
                raise EndpointError(
                    f"servers.judge.budget: {self.server.budget} ratings, of which {len(store)} "
                    f"are used; {len(missing)} more are needed, so set it to {needed} or more"
                )

            def keep(number: int, answer: Answer) -> None:
                store.set(keys[missing[number]], json.dumps(asdict(answer), ensure_ascii=False))

            if missing:
                messages = [conversations[number] for number in missing]
                complete(self.server, self.model, messages, self.decoding, keep)
            answers = [json.loads(store[key])["text"] for key in keys]
            store.close()
        ratings = dict(zip(distinct, map(read_rating, answers), strict=True))
        unreadable = sum(rating is None for rating in ratings.values())
        print(
            f"  LLM judge: {len(ratings)} pairs, {len(ratings) - len(missing)} cached, "
            f"{unreadable} unreadable", flush=True,
        )  # fmt: skip
        return [ratings[pair] for pair in pairs]


def read_rating(answer: str) -> float | None:
    """Return the rating in a judge's answer, None if there is none from 1 to 10.

    The first [[number]] counts, else the first [number], as in FastChat's single-answer grading.
    """
    for pattern in _RATINGS:
        if match := pattern.search(answer):
            rating = float(match[1])
            return rating if MIN_RATING <= rating <= MAX_RATING else None
    return None


def conversation(prompt: dict[str, str], instruction: str, response: str) -> Messages:
    """Return the messages that ask for a rating of a response.

    Both texts are between fences with a hash of the two, which neither can contain. A "[[10]]"
    in them becomes "[ [10]]", so that a judge who quotes it does not give it as its rating.
    """
    fence = hashlib.sha256("\x1f".join((instruction, response)).encode()).hexdigest()[:20]
    texts = {
        "fence": f"<{fence}>",
        "instruction": _DICTATED.sub("[ ", instruction),
        "response": _DICTATED.sub("[ ", response),
    }
    # In one pass, so that a text with "{response}" in it is not filled in itself.
    return [
        {"role": role, "content": _FIELD.sub(lambda match: texts[match[1]], prompt[role])}
        for role in ("system", "user")
    ]
