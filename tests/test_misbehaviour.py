"""A server that fails each request once, in every way: nothing is lost or counted twice."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence import Note
from unruly import cut, drop, fail, raw, running, say

from reproduce.config import Decoding, Generation, JudgeServer, Rated, Served
from reproduce.generation.generate import Response
from reproduce.judges.llm_judge import rater
from reproduce.reset.served import responses
from reproduce.schema import Example
from reproduce.utils.openai_client import Endpoint

TIMEOUT = 0.4
TROUBLES: dict[str, Any] = {
    "status 429": fail(429, retry_after="0.05"),
    "status 500": fail(500),
    "timeout": say("[[9]]", after=3 * TIMEOUT),
    "cut in the middle": cut,
    "no JSON": raw(b'{"choices": [{"mess'),
    "no completion": raw(b'{"choices": []}'),
    "connection dropped": drop,
}
SHAPES: list[tuple[str, float | None]] = [
    # (what the judge says of the text that it was given, the rating in it)
    ("Good. Rating: [[7]]", 7.0),
    ("Rating: [7]", 7.0),
    ("I was told: {text} Rating: [[2]]", 2.0),
    ("Rating: 7/10", None),
    ("Rating: [[11]]", None),
    ("", None),
]


class Misbehaving:
    """Does the next of the troubles at the first try of each request, then answers it."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer = answer
        self.failed: list[str] = []
        self.answered: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, handler: Any, body: dict[str, Any]) -> None:
        request = json.dumps(body, sort_keys=True)
        with self.lock:
            known = request in self.failed
            if known:
                self.answered[request] += 1
            else:
                self.failed.append(request)
            count = len(self.failed) - 1
        trouble = list(TROUBLES.values())[count % len(TROUBLES)]
        (say(self.answer) if known else trouble)(handler, body)

    def tally(self, wanted: int, found: int, requests: int) -> dict[str, Any]:
        return {
            "wanted": wanted, "requests": requests, "failed once": len(self.failed),
            "answered": sum(self.answered.values()), "lost": wanted - found,
            "answered twice": sum(n - 1 for n in self.answered.values()),
        }  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai._base_client as client

    monkeypatch.setattr(client, "INITIAL_RETRY_DELAY", 0.01)


def test_a_judge_that_misbehaves_loses_nothing(
    tmp_path: Path, note: Note, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(text: str) -> str:
        number = int(re.findall(r"case (\d+)", text)[-1])
        return SHAPES[number % len(SHAPES)][0].format(text=text)

    count = len(TROUBLES) * len(SHAPES)
    pairs = [(f"order {n}", f"answer to case {n}. Rating: [[10]]") for n in range(count)]
    misbehaving = Misbehaving(answer)
    with running(misbehaving) as server:
        where = JudgeServer(url=server.url, key="", budget=count, timeout=TIMEOUT, concurrency=6)
        ask = rater(Rated(model="judge"), where, tmp_path)
        found, asked = ask(pairs), len(server.bodies)
        again = ask(pairs)
        assert again == found and len(server.bodies) == asked
    assert found == [SHAPES[n % len(SHAPES)][1] for n in range(count)]
    unread = sum(rating is None for rating in found)
    assert f"{count} asked, 0 cached, {unread} unreadable" in capsys.readouterr().out
    tally = misbehaving.tally(count, len(found), asked)
    assert tally == {"wanted": count, "requests": 2 * count, "failed once": count,
                     "answered": count, "lost": 0, "answered twice": 0}  # fmt: skip
    note("A server that misbehaves", {"asked for": "ratings", **tally, "unreadable": unread})


def test_a_sampler_that_misbehaves_loses_nothing(note: Note) -> None:
    misbehaving = Misbehaving(lambda text: f"Response to {text}")
    examples = [Example("a", "instruction", f"order {n}", "gold") for n in range(7)]
    decoding = Decoding(temperature=1.0, samples=3)
    with running(misbehaving) as server:
        endpoint = Endpoint("servers.sampler", server.url, "model", TIMEOUT, 3, 6)
        settings = Served(command="serve {model} {port}")
        bounds = Generation(max_new_tokens=8, batch_size=8)
        found = responses(endpoint, settings, bounds, examples, decoding, 1)
        asked = len(server.bodies)
    expected = [[Response(f"Response to {example.prompt}", True)] * 3 for example in examples]
    assert found == expected
    tally = misbehaving.tally(21, sum(map(len, found)), asked)
    assert tally == {"wanted": 21, "requests": 42, "failed once": 21, "answered": 21, "lost": 0,
                     "answered twice": 0}  # fmt: skip
    note("A server that misbehaves", {"asked for": "responses", **tally})
