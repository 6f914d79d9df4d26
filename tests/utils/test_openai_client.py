"""The client of chat completions, against a server that misbehaves on purpose."""

import logging
import threading
from typing import Any

import pytest
from support.misbehaving_server import SECRET, drop, fail, quick, raw, running, say

from reproduce.config import JudgeServer
from reproduce.utils.files import UserError
from reproduce.utils.openai_client import Messages, complete, read_key

GREETING: Messages = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def ask(
    server: Any, *conversations: Messages, answers: dict[int, str] | None = None, **changes: Any
) -> tuple[dict[int, str], list[str]]:
    """Return the answers, and why the others are none."""
    usual = {"url": server and server.url, "key": "SECRET_KEY", "budget": 1, "timeout": 5.0,
             "attempts": 3, "concurrency": 2}  # fmt: skip
    settings, answers = JudgeServer(**{**usual, **changes}), {} if answers is None else answers
    problems = complete(settings, "judge", conversations, {"temperature": 0}, answers.__setitem__)
    return answers, problems


def texts(count: int) -> list[Messages]:
    return [[{"role": "user", "content": f"text {n}"}] for n in range(count)]


def test_each_conversation_gets_its_answer() -> None:
    with running(say(lambda text: f"about {text}")) as server:
        answers, problems = ask(server, *texts(20), concurrency=8)
    assert answers == {n: f"about text {n}" for n in range(20)} and not problems
    assert len(server.bodies) == 20
    assert all(headers["authorization"] == f"Bearer {SECRET}" for headers in server.headers)
    for body in server.bodies:
        assert body["messages"] in texts(20)
        assert (body["model"], body["temperature"]) == ("judge", 0)


@pytest.mark.parametrize("trouble", [fail(429, retry_after="0.05"), fail(500), drop])
def test_a_request_that_fails_once_is_tried_again(trouble: Any) -> None:
    with running(trouble, say("Hi")) as server:
        assert ask(server, GREETING) == ({0: "Hi"}, [])
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("trouble", "attempts", "words"),
    [
        (fail(400, f"too long {SECRET}"), 1, "too long"),
        (fail(500), 3, "500"),
        (raw(b'{"choices":'), 1, "/v1"),
        (raw(b"[]"), 1, "/v1"),
        (raw(b"<html>", content_type="text/html"), 1, "/v1"),
        (say("Rating", finish_reason="length"), 1, "cut off: Rating"),
        (say([{"type": "text", "text": "Hi"}]), 1, "/v1"),
    ],
)
def test_a_request_without_a_complete_answer_is_reported(
    trouble: Any, attempts: int, words: str
) -> None:
    with running(*[trouble] * attempts, say("Hi")) as server:
        answers, [problem] = ask(server, GREETING, GREETING, concurrency=1)
    assert answers == {1: "Hi"} and words in problem and SECRET not in problem


@pytest.mark.parametrize(
    ("trouble", "attempts", "words"),
    [
        (fail(401, f"no such key {SECRET}"), 1, ["401", "no such key"]),
        (fail(404, "who?"), 1, ["404", "who?"]),
        (fail(429, f"slow down {SECRET}"), 3, ["429", "slow down"]),
        (say("late", after=0.6), 3, ["timed out"]),
        (drop, 3, []),
    ],
)
def test_an_error_that_concerns_all_requests_has_the_servers_words_and_not_the_key(
    trouble: Any, attempts: int, words: list[str],
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    with running(trouble) as server, pytest.raises(UserError) as raised:
        ask(server, GREETING, timeout=0.2)
    assert len(server.bodies) == attempts
    assert all(word in str(raised.value) for word in [server.url, *words])
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    printed = capfd.readouterr()
    assert SECRET not in f"{raised.value!r}{raised.value}{printed.out}{printed.err}{caplog.text}"


def test_no_more_requests_are_under_way_than_allowed() -> None:
    before = threading.active_count()
    with running(say("Hi", after=0.03)) as server:
        ask(server, *texts(12), concurrency=3)
        assert server.most_at_once == 3
    assert threading.active_count() <= before + 2


def test_after_such_an_error_no_more_is_sent_and_what_is_under_way_is_kept() -> None:
    answers: dict[int, str] = {}
    with (
        running(say("slow", after=0.3), fail(401), say("Hi")) as server,
        pytest.raises(UserError, match="401"),
    ):
        ask(server, *texts(50), answers=answers)
    assert "slow" in answers.values()
    assert len(server.bodies) <= 4 and len(answers) == len(server.bodies) - 1


@pytest.mark.parametrize("value", [None, "", "  \n", f"{SECRET}\nx", f"{SECRET} b", f"{SECRET}é"])
def test_a_missing_or_unusable_key_is_named_by_its_variable_alone(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    if value is not None:
        monkeypatch.setenv("SECRET_KEY", value)
    with running(say("Hi")) as server, pytest.raises(UserError) as raised:
        ask(server, GREETING)
    assert "SECRET_KEY" in str(raised.value) and SECRET not in str(raised.value)
    assert server.bodies == []


def test_a_server_without_key_never_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with running(say("Hi")) as server:
        ask(server, GREETING, key="")
    assert read_key("") and SECRET not in str(server.headers)
