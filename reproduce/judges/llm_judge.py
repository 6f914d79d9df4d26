"""An LLM judge of instruction following: a rating from 1 to 10 per response.

The scale is that of single-answer grading in MT-bench (Zheng et al., NeurIPS 2023). The prompts in
`prompts` are our own. A rating counts only where they ask for it, on the last line; FastChat's code
takes the first one anywhere.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from reproduce.config import ConfigError, JudgeServer, LLMJudgeSettings, Params
from reproduce.utils.files import UserError, short_hash
from reproduce.utils.openai_client import Messages, complete, read_key

MIN_RATING, MAX_RATING = 1.0, 10.0
CACHE = Path(".cache/ratings")
"""The folder of the judges' answers, below the working directory."""
PROMPTS = Path(__file__).parent / "prompts"

_RATING = r"(?:rating\W{0,3})?(\d+(?:\.\d+)?)\s*(?:/\s*10)?\s*"
_RATINGS = re.compile(
    rf"(?:^|\b(?:rating|score|verdict)[\s:*_=]*)\[\[\s*{_RATING}\]\]"
    rf"|\b(?:rating|score|verdict)[\s:*_=]*\[\s*{_RATING}\]",
    re.IGNORECASE,
)
"""[[N]] after the word "Rating" or at the start of a line, or [N] after that word."""
_THOUGHTS = re.compile(r".*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_DICTATED = re.compile(r"\[(?=\[[^\[\]]{1,20}\]\])")
_FIELD = re.compile(r"\{(fence|instruction|response)\}")


def build_llm_judge(params: Params) -> "LLMJudge | None":
    """Return the LLM judge of a profile, None if it has none; nothing is sent yet.

    Raises ConfigError if its prompt does not exist, UserError if its key is missing.
    """
    settings, server = params.judging.llm_judge, params.judge_server
    return LLMJudge(settings, server, CACHE) if settings and server else None


class LLMJudge:
    """Rates responses by a model on a server, within a budget; keeps ratings on disk."""

    def __init__(self, settings: LLMJudgeSettings, server: JudgeServer, cache: Path) -> None:
        """Check prompt and key; answers are kept in a folder of `cache`."""
        path = PROMPTS / f"{settings.prompt}.yaml"
        if not path.is_file():
            known = sorted(path.stem for path in PROMPTS.glob("*.yaml"))
            raise ConfigError(f"judging.llm_judge.prompt: {settings.prompt} is not one of {known}")
        read_key(server.key)
        self.prompt: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.server, self.model = server, settings.model
        self.max_unreadable_share = settings.max_unreadable_share
        self.decoding = {"temperature": 0, "max_tokens": settings.max_tokens}
        # Without the address: the same model is the same judge on every server.
        judge = json.dumps((self.model, self.decoding, self.prompt), sort_keys=True)
        self.folder = cache / short_hash(judge)

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return the rating, 1 to 10, of each (instruction, response); None where there is none.

        Equal pairs are sent once, cached ones never. An answer with a rating is on disk before its
        thread sends the next request; another one is not kept, so that a later run asks again.
        Processes take turns, so the budget holds for all of them.

        Raises:
            UserError: the budget is too small, and nothing was sent; or more pairs than
                max_unreadable_share got no rating, and the others' are kept.
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
                raise UserError(
                    f"judge_server.budget: {self.server.budget} ratings, of which {len(store)} "
                    f"are used; {len(missing)} more are needed, so set it to {needed} or more"
                )
            unreadable: list[str] = []

            def keep(number: int, answer: str) -> None:
                if read_rating(answer) is None:
                    unreadable.append(answer)
                else:
                    # JSON, as the database cannot hold half of a surrogate pair.
                    store.set(keys[missing[number]], json.dumps(answer))

            if missing:
                messages = [conversations[number] for number in missing]
                unreadable += complete(self.server, self.model, messages, self.decoding, keep)
            ratings = {
                pair: read_rating(json.loads(store.get(key, '""')))
                for pair, key in zip(distinct, keys, strict=True)
            }
            store.close()
        count = (
            f"LLM judge: {len(distinct)} pairs, {len(distinct) - len(missing)} cached, "
            f"{len(unreadable)} unreadable"
            + (f", such as {unreadable[-1][:300]!r}" if unreadable else "")
        )
        if len(unreadable) > self.max_unreadable_share * len(distinct):
            raise UserError(
                f"{count}; a share of {self.max_unreadable_share} is allowed "
                "(judging.llm_judge.max_unreadable_share)"
            )
        print(f"  {count}", flush=True)
        return [ratings[pair] for pair in pairs]


def read_rating(answer: str) -> float | None:
    """Return the rating in a judge's complete answer, None if there is none from 1 to 10.

    It is the last one on the last line, where the prompt asks for it. Thoughts, which end with
    </think>, have none.
    """
    lines = _THOUGHTS.sub("", answer).strip().splitlines()
    last = lines[-1].strip(" \t*_#>`") if lines else ""
    found = [float(match[1] or match[2]) for match in _RATINGS.finditer(last)]
    return found[-1] if found and MIN_RATING <= found[-1] <= MAX_RATING else None


def conversation(prompt: dict[str, str], instruction: str, response: str) -> Messages:
    """Return the messages that ask for a rating of a response.

    Both texts are between fences with a hash of the two, which neither can contain. A "[[10]]"
    in them becomes "[ [10]]", so that a judge who quotes it does not give it as its rating.
    """
    fence = short_hash(instruction, response)
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
