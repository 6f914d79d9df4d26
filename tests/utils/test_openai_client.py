"""The client of chat completions, against a server that misbehaves on purpose."""

import logging
import socket
import threading
from typing import Any

import pytest
from support.misbehaving_server import SECRET, TROUBLES, drop, fail, quick, raw, running, say

from reproduce.config import JudgeServer
from reproduce.utils.openai_client import Answer, EndpointError, Messages, complete, read_key

GREETING: Messages = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def ask(server: Any, *conversations: Messages, **changes: Any) -> list[Answer]:
    answers: dict[int, Answer] = {}
    ask_into(answers, server, *conversations, **changes)
    return [answers[number] for number in range(len(conversations))]


def ask_into(
    answers: dict[int, Answer], server: Any, *conversations: Messages, **changes: Any
) -> None:
    usual = {"url": server and server.url, "key": "SECRET_KEY", "budget": 1, "timeout": 5.0,
             "attempts": 3, "concurrency": 2}  # fmt: skip
    settings = JudgeServer(**{**usual, **changes})
    complete(settings, "judge", conversations, {"temperature": 0}, answers.__setitem__, 0)


def texts(count: int) -> list[Messages]:
    return [[{"role": "user", "content": f"text {n}"}] for n in range(count)]


def test_each_conversation_gets_its_answer() -> None:
    with running(say(lambda text: f"about {text}")) as server:
        answers = ask(server, *texts(20), concurrency=8)
    assert answers == [Answer(f"about text {n}", "judge-2026-01-01", True) for n in range(20)]
    assert len(server.bodies) == 20
    assert all(headers["authorization"] == f"Bearer {SECRET}" for headers in server.headers)
    for body in server.bodies:
        assert body["messages"] in texts(20)
        assert (body["model"], body["temperature"]) == ("judge", 0)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_request_that_fails_once_is_tried_again(trouble: Any) -> None:
    with running(trouble, say("Hi")) as server:
        assert ask(server, GREETING) == [Answer("Hi", "judge-2026-01-01", True)]
    assert len(server.bodies) == 2


def test_a_request_that_takes_too_long_is_tried_again() -> None:
    with running(say("late", after=0.6), say("Hi"), say("late", after=0.6)) as server:
        assert ask(server, GREETING, timeout=0.2)[0].text == "Hi"
        with pytest.raises(EndpointError, match="timed out"):
            ask(server, GREETING, timeout=0.2, attempts=2)
    assert len(server.bodies) == 4


def test_the_server_says_how_long_to_wait() -> None:
    with running(fail(429, retry_after="0.4"), say("Hi")) as server:
        ask(server, GREETING)
    first, second = server.times
    assert 0.4 <= second - first < 2


@pytest.mark.parametrize(
    ("trouble", "attempts", "words"),
    [
        (fail(401, f"no such key {SECRET}"), 1, ["401", "no such key"]),
        (fail(404, "who?"), 1, ["404", "who?"]),
        (fail(400, "too long"), 1, ["400", "too long"]),
        (fail(429, f"slow down {SECRET}"), 3, ["429", "slow down"]),
        (fail(500), 3, ["500"]),
        (drop, 3, []),
        (raw(b'{"choices":'), 3, ["3 answers", "/v1"]),
    ],
)
def test_a_failure_for_good_has_the_servers_words_and_not_the_key(
    trouble: Any, attempts: int, words: list[str],
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    with running(trouble) as server, pytest.raises(EndpointError) as raised:
        ask(server, GREETING)
    assert len(server.bodies) == attempts
    assert all(word in str(raised.value) for word in [server.url, *words])
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    printed = capfd.readouterr()
    assert SECRET not in f"{raised.value!r}{raised.value}{printed.out}{printed.err}{caplog.text}"


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        with pytest.raises(EndpointError, match=url):
            ask(None, GREETING, url=url, attempts=2)


def test_an_empty_answer_is_an_answer() -> None:
    with running(say(None)) as server:
        assert ask(server, GREETING)[0].text == ""
    assert len(server.bodies) == 1


def test_no_more_requests_are_under_way_than_allowed() -> None:
    before = threading.active_count()
    with running(say("Hi", after=0.03)) as server:
        ask(server, *texts(12), concurrency=3)
        assert server.most_at_once == 3
    assert threading.active_count() <= before + 2


def test_after_a_failure_no_more_is_sent_and_what_is_under_way_is_kept() -> None:
    answers: dict[int, Answer] = {}
    with (
        running(say("slow", after=0.3), fail(401), say("Hi")) as server,
        pytest.raises(EndpointError, match="401"),
    ):
        ask_into(answers, server, *texts(50))
    assert "slow" in [answer.text for answer in answers.values()]
    assert len(server.bodies) <= 4 and len(answers) == len(server.bodies) - 1


@pytest.mark.parametrize("value", [None, "", "  \n", f"{SECRET}\nx", f"{SECRET} b", f"{SECRET}é"])
def test_a_missing_or_unusable_key_is_named_by_its_variable_alone(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    if value is not None:
        monkeypatch.setenv("SECRET_KEY", value)
    with running(say("Hi")) as server, pytest.raises(EndpointError) as raised:
        ask(server, GREETING)
    assert "SECRET_KEY" in str(raised.value) and SECRET not in str(raised.value)
    assert server.bodies == []


def test_a_server_without_key_never_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with running(say("Hi")) as server:
        ask(server, GREETING, key="")
    assert read_key("") and SECRET not in str(server.headers)


def test_a_server_of_this_machine_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with running(say("Hi")) as server:
        assert ask(server, GREETING)[0].text == "Hi"
