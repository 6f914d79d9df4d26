"""The client of an endpoint, against a server that misbehaves on purpose."""

import logging
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from unruly import Unruly, completion, cut, drop, fail, raw, running, say

from reproduce.utils.openai_client import Answer, Endpoint, EndpointError, Request, ask, key_of

SECRET = "sk-a-secret-that-nobody-may-see"
GREETING = Request([{"role": "user", "content": "Hello"}], {"temperature": 0})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for hundredths where the client would wait for seconds; give it a key."""
    import openai._base_client as client

    monkeypatch.setattr(client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("SECRET_KEY", SECRET)


def endpoint(server: Unruly, **changes: Any) -> Endpoint:
    usual = {"place": "servers.judge", "url": server.url, "model": "judge", "timeout": 5.0,
             "attempts": 3, "concurrency": 2, "variable": "SECRET_KEY"}  # fmt: skip
    return Endpoint(**{**usual, **changes})


def messages(count: int) -> list[Request]:
    return [Request([{"role": "user", "content": f"text {n}"}]) for n in range(count)]


def test_answers_come_in_the_order_of_the_requests() -> None:
    with running(say(lambda text: f"about {text}")) as server:
        found = ask(endpoint(server, concurrency=8), messages(20), "asked")
    assert [answer.text for answer in found] == [f"about text {n}" for n in range(20)]
    assert {answer.model for answer in found} == {"judge-2026-01-01"}
    assert len(server.bodies) == 20
    assert all(headers["authorization"] == f"Bearer {SECRET}" for headers in server.headers)


def test_settings_and_model_are_sent() -> None:
    with running(say("Hi")) as server:
        ask(endpoint(server), [GREETING], "asked")
    assert server.bodies == [{"model": "judge", "messages": GREETING.messages, "temperature": 0}]


@pytest.mark.parametrize(("reason", "ended"), [("stop", True), ("length", False)])
def test_an_answer_that_a_limit_cut_off_has_not_ended(reason: str, ended: bool) -> None:
    with running(raw(completion("Hi", finish_reason=reason))) as server:
        (answer,) = ask(endpoint(server), [GREETING], "asked")
    assert (answer.text, answer.ended) == ("Hi", ended)


@pytest.mark.parametrize("trouble", [fail(429), fail(500), fail(503), drop, cut,
                                     raw(b'{"choices":[{"mess'), raw(b"[]"), raw(b'{"choices":[]}'),
                                     raw(b"<html>", content_type="text/html")])  # fmt: skip
def test_a_request_that_fails_once_is_tried_again(trouble: Any) -> None:
    with running(trouble, say("Hi")) as server:
        assert ask(endpoint(server), [GREETING], "asked") == [Answer("Hi", "judge-2026-01-01")]
    assert len(server.bodies) == 2


def test_a_request_that_takes_too_long_is_tried_again() -> None:
    with running(say("late", after=0.6), say("Hi")) as server:
        assert ask(endpoint(server, timeout=0.2), [GREETING], "asked")[0].text == "Hi"
    assert len(server.bodies) == 2


def test_the_server_says_how_long_to_wait() -> None:
    with running(fail(429, retry_after="0.4"), say("Hi")) as server:
        ask(endpoint(server), [GREETING], "asked")
    first, second = server.times
    assert 0.4 <= second - first < 2


def test_waiting_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai._base_client as client

    monkeypatch.setattr(client, "INITIAL_RETRY_DELAY", 0.1)
    with running(fail(500), fail(500), fail(500), say("Hi")) as server:
        ask(endpoint(server, attempts=4), [GREETING], "asked")
    waits = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    # Less up to a quarter by chance.
    for wait, whole in zip(waits, (0.1, 0.2, 0.4), strict=True):
        assert 0.75 * whole <= wait < whole + 0.5


@pytest.mark.parametrize(
    ("trouble", "tries", "words"),
    [
        (fail(401, f"no such key {SECRET}"), 1, "refuses the key in SECRET_KEY (status 401"),
        (fail(403), 1, "refuses the key in SECRET_KEY (status 403"),
        (fail(404, "who?"), 1, "knows no model 'judge', or is no such address (status 404: who?)"),
        (fail(400, "too long"), 1, "refuses the request (status 400: too long); check servers.ju"),
        (fail(422), 1, "refuses the request (status 422"),
        (fail(429, f"slow down {SECRET}"), 3, "answers with status 429, after 3 attempts"),
        (fail(500), 3, "answers with status 500, after 3 attempts"),
        (drop, 3, "cannot be reached, after 3 attempts"),
        (raw(b'{"choices":'), 3, "other than a chat completion, after 3 attempts"),
    ],
)
def test_a_failure_for_good_is_one_message(
    trouble: Any, tries: int, words: str, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    with running(trouble) as server, pytest.raises(EndpointError) as found:
        ask(endpoint(server), [GREETING], "asked")
    assert len(server.bodies) == tries
    assert words in str(found.value) and "servers.judge" in str(found.value)
    assert found.value.__suppress_context__ or found.value.__context__ is None
    said = capfd.readouterr()
    assert SECRET not in f"{found.value!r}{found.value}{said.out}{said.err}{caplog.text}"


def test_timeouts_are_named() -> None:
    with running(say("late", after=1)) as server, pytest.raises(EndpointError) as found:
        ask(endpoint(server, timeout=0.1, attempts=2), [GREETING], "asked")
    assert "no answer within 0.1 s, after 2 attempts" in str(found.value)
    assert len(server.bodies) == 2


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        nowhere = Endpoint("servers.judge", url, "judge", 1.0, 2, 1)
        with pytest.raises(EndpointError, match=r"cannot be reached.*check servers\.judge\.url"):
            ask(nowhere, [GREETING], "asked")


def test_an_empty_answer_is_an_answer() -> None:
    with running(say(None)) as server:
        assert ask(endpoint(server), [GREETING], "asked")[0].text == ""
    assert len(server.bodies) == 1


def test_no_more_requests_are_under_way_than_allowed() -> None:
    with running(say("Hi", after=0.03)) as server:
        ask(endpoint(server, concurrency=3), messages(12), "asked")
    assert server.most_at_once == 3


def test_after_a_failure_no_more_is_sent_and_what_is_under_way_is_kept() -> None:
    kept: dict[int, str] = {}
    with (
        running(say("slow", after=0.3), fail(401), say("Hi")) as server,
        pytest.raises(EndpointError, match="401"),
    ):
        ask(
            endpoint(server), messages(50), "asked", lambda n, answer: kept.update({n: answer.text})
        )
    assert "slow" in kept.values()
    assert len(server.bodies) <= 4 and len(kept) == len(server.bodies) - 1


def test_nothing_to_ask_is_nothing_sent() -> None:
    with running(fail(500)) as server:
        assert ask(endpoint(server), [], "asked") == []
    assert server.bodies == []


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_missing_key_is_refused_by_its_name(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    if value is not None:
        monkeypatch.setenv("SECRET_KEY", value)
    with running(say("Hi")) as server, pytest.raises(EndpointError) as found:
        ask(endpoint(server), [GREETING], "asked")
    assert "SECRET_KEY is not set" in str(found.value) and "servers.judge.key" in str(found.value)
    assert server.bodies == []


@pytest.mark.parametrize("value", [f"{SECRET}\nsecond line", f"{SECRET} b", f"{SECRET}é"])
def test_what_is_no_key_is_refused_unseen(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", value)
    with pytest.raises(EndpointError) as found:
        key_of("servers.judge", "SECRET_KEY")
    assert "SECRET_KEY" in str(found.value) and SECRET not in str(found.value)


def test_a_server_without_key_never_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with running(say("Hi")) as server:
        ask(endpoint(server, variable=""), [GREETING], "asked")
    assert SECRET not in str(server.headers)


def test_a_server_of_this_machine_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with running(raw(completion("Hi"))) as server:
        assert ask(endpoint(server), [GREETING], "asked")[0].text == "Hi"


def test_nobody_imports_the_client_who_does_not_ask() -> None:
    code = (
        "import sys, reproduce.judges.panel, reproduce.utils.openai_client, reproduce.judges.llm_judge, \
reproduce.reset.served; sys.exit('openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_end_with_the_request() -> None:
    before = threading.active_count()
    with running(say("Hi")) as server:
        ask(endpoint(server), messages(5), "asked")
    assert threading.active_count() <= before + 2
