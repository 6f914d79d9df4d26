"""The checks before a study, against a hub and a judge's server of our own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.profiles import change, nano_params
from typer import Exit

from reproduce.config import Params
from reproduce.planning import preflight
from reproduce.planning.preflight import run_checks
from reproduce.study import Study
from reproduce.utils.files import UserError

KEY, SHA = "sk-very-secret", "a" * 40


HUB = {
    f"/api/models/owner/open/revision/{SHA}": (200, "", {"id": "owner/open", "sha": SHA}),
    f"/api/datasets/owner/text/revision/{SHA}": (200, "", {"id": "owner/text", "sha": SHA}),
    f"/api/models/owner/lost/revision/{SHA}": (404, "RevisionNotFound", {}),
    f"/api/models/owner/shut/revision/{SHA}": (200, "", {"id": "owner/shut", "gated": "manual"}),
    "/api/models/owner/shut/auth-check": (403, "GatedRepo", {}),
}  # fmt: skip


class Answerer(BaseHTTPRequestHandler):
    """Answers as HUB says, and lists the model "judge" to who knows the key."""

    def do_GET(self) -> None:
        header, path = self.headers.get("Authorization", ""), self.path.split("?")[0]
        status, code, body = HUB.get(path, (404, "RepoNotFound", {}))
        if path == "/v1/models":
            known = header == f"Bearer {KEY}"
            status, body = (200, {"data": [{"id": "judge"}]}) if known else (401, {"e": header})
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answerer) as answerer:
        threading.Thread(target=answerer.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{answerer.server_port}"
        answerer.shutdown()


def judged(server: str, model: str = "judge") -> Params:
    judge = {"url": f"{server}/v1", "key": "JUDGE_KEY", "budget": 100}
    return nano_params(judging__llm_judge={"model": model}, judge_server=judge)


def test_a_check_that_breaks_is_a_line_and_ends_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> str:
        raise ValueError("no luck\nhere")

    assert not run_checks({"one": broken, "second": lambda: "fine"})
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["FAIL", "one"] and "no luck here" in first
    assert second.split() == ["pass", "second", "fine"]
    assert run_checks({"third": lambda: None})


@pytest.mark.parametrize(
    ("name", "error"),
    [("none", "RepositoryNotFound"), ("lost", "RevisionNotFound"), ("shut", "GatedRepo")],
)
def test_the_hub_is_asked_for_each_pin(
    server: str, name: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server)
    assert SHA in preflight.check_pin("owner/open", SHA, False)
    assert SHA in preflight.check_pin("owner/text", SHA, True)
    with pytest.raises(Exception, match=name) as raised:
        preflight.check_pin(f"owner/{name}", SHA, False)
    assert type(raised.value).__name__ == f"{error}Error"


def test_the_judge_has_to_have_the_model_and_the_budget(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    assert "judge" in preflight.check_llm_judge(judged(server), 100)
    with pytest.raises(UserError, match="budget"):
        preflight.check_llm_judge(judged(server), 101)
    with pytest.raises(UserError, match="gone"):
        preflight.check_llm_judge(judged(server, "gone"), 1)


@pytest.mark.parametrize("key", ["", "sk-wrong", " sk-wrong\n", "sk-with\nline", "sk-w ide"])
def test_a_key_stands_in_no_line(
    server: str, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    assert not run_checks({"it": lambda: preflight.check_llm_judge(judged(server), 1)})
    assert "sk-" not in capsys.readouterr().out


def test_disk_and_gpus_have_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_bytes(bytes(1000))
    assert preflight.check_disk(10**3, tmp_path)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    sizes = [type("Gpu", (), {"total_memory": size * 10**9}) for size in (80, 40)]
    monkeypatch.setattr("torch.cuda.get_device_properties", sizes.__getitem__)
    assert preflight.check_gpus(2, 40 * 10**9)
    for check in (
        lambda: preflight.check_disk(10**18, tmp_path),
        lambda: preflight.check_gpus(3, 1),
        lambda: preflight.check_gpus(2, 41 * 10**9),
    ):
        with pytest.raises(UserError):
            check()


def test_the_command_fails_where_a_check_does(
    nano_study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    preflight.preflight(steps=True)
    starts = [" ".join(line.split()[:2]) for line in capsys.readouterr().out.splitlines()]
    assert starts == ["pass parameters", "pass disk", *2 * ["pass step"]]
    assert not list((nano_study.folder / ".cache").glob("tmp*"))
    change(Path("params.yaml"), ("workers", 1), ("hardware.launch", "false"))
    with pytest.raises(Exit):
        preflight.preflight(steps=True)
    assert capsys.readouterr().out.count("FAIL  step") == 2
