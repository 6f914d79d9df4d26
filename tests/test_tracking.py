"""Where runs are kept: a folder's own database, a team's, a server; and what may go wrong."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tracked import ARMS, CELL, Study, study_here, write_arm

from reproduce import local_runs, tracking
from reproduce.cli import command
from reproduce.config import by_key, load_experiments
from reproduce.index import state_of_index
from reproduce.stage_records import hashes_here
from reproduce.tracking import SAMPLES, TrackingError, shown
from reproduce.utils.files import read_rows

ROOT = Path(__file__).parent.parent


@pytest.fixture
def study(tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch) -> Study:
    return study_here(tmp_path, database, monkeypatch)


def test_the_environment_names_the_store(
    study: Study, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    study.track()
    assert study.run(CELL)
    assert (tmp_path / "mlflow.db").read_bytes() == database


def whole(study: Study) -> dict[str, Any]:
    """Return cell -> all that MLflow holds of its run, but for ids, times and places."""
    found = {}
    for run in study.runs():
        folder, client = run.info.run_id, study.client
        files = [file.path for file in client.list_artifacts(folder)]
        histories = {
            name: [(point.step, point.value) for point in client.get_metric_history(folder, name)]
            for name in run.data.metrics
        }
        tags = {k: v for k, v in run.data.tags.items() if k not in ("owner", "mlflow.parentRunId")}
        found[tags["cell"]] = (
            run.info.status, run.info.run_name, run.info.user_id, run.info.lifecycle_stage, files,
            run.data.metrics, histories, run.data.params, tags,
            [Path(client.download_artifacts(folder, name)).read_bytes() for name in files],
        )  # fmt: skip
    return found


def test_what_is_inserted_is_what_mlflow_would_have_logged(
    study: Study, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.track()
    inserted = whole(study)
    (tmp_path / "team.db").write_bytes(database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'team.db'}")
    monkeypatch.chdir(tmp_path)
    study.track()
    assert whole(study) == inserted and len(inserted) == 8


def test_runs_of_another_clone_on_a_server_are_left_alone(
    study: Study, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = tmp_path / "team.db"
    team.write_bytes(database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{team}")
    (tmp_path / "other").mkdir()
    other = Study(tmp_path / "other")
    write_arm(other.artifacts, other.params, "two-stage/CD", ARMS["two-stage"]["CD"], loss=9.0)
    study.track()
    first = {run.info.run_id for run in study.runs()}
    for _ in range(2):
        other.track()
        assert len(study.runs()) == 2 * len(first)
        assert first < {run.info.run_id for run in study.runs()}


def test_a_server_holds_the_runs_and_their_files(
    study: Study, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a team's server, which keeps the files itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "server.db").write_bytes(database)
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--workers", "1",
        "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}",
        "--artifacts-destination", str(tmp_path / "files"),
    ]  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 120
            while not answers(f"{uri}/health") and time.monotonic() < until:
                time.sleep(0.2)
            first = study.track()
            assert study.track() == first
            run = study.run(CELL)
            assert run.info.artifact_uri.startswith("mlflow-artifacts:")
            assert [f.path for f in study.client.list_artifacts(run.info.run_id)] == [SAMPLES]
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    assert (tmp_path / "mlflow.db").read_bytes() == database


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def test_a_damaged_database_is_one_message(study: Study, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(TrackingError, match="move the file away"):
        study.track()


def test_a_database_of_another_mlflow_is_named_and_left_as_it_is(
    study: Study, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match=r"of another MLflow.*451aebb31d03"):
        study.track()
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("shared", [False, True])
def test_a_rebuild_that_was_stopped_goes_on(
    study: Study, tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """The database of a folder has all runs or none, that of a team those that were logged."""
    if shared:
        (tmp_path / "team.db").write_bytes(database)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'team.db'}")
        monkeypatch.chdir(tmp_path)
    module, name = (tracking, "_send") if shared else (local_runs, "write_text")
    done, carried_out = [], getattr(module, name)

    def stopped(*arguments: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(carried_out(*arguments))

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, name, stopped)
        study.track()
    first = {run.info.run_id for run in study.runs() if "seed" in run.data.tags}
    assert len(first) == (2 if shared else 0)
    wanted, database = hashes_here(study.params, ARMS, study.artifacts), tmp_path / "mlflow.db"
    if not shared:
        assert "holds 0 of the 6 runs" in state_of_index(database, wanted)
    study.track()
    assert state_of_index(database, wanted) == ""
    runs = {run.info.run_id for run in study.runs() if "seed" in run.data.tags}
    assert first <= runs and len(runs) == 6


def test_nothing_secret_is_said_or_logged(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRODUCE_TOKEN", "s3cr3t-value")
    study.track()
    assert b"s3cr3t-value" not in (tmp_path / "mlflow.db").read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cr3t@127.0.0.1:9/x?key=s3cr3t")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as caught:
        study.track()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://me:pass@host:5000/a", "https://host:5000/a"),
        ("https://me:p@ss@host", "https://host"),
        ("postgresql://host/db?password=x", "postgresql://host/db"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    ],
)
def test_shown(uri: str, expected: str) -> None:
    assert shown(uri) == expected


def test_until_all_arms_are_here_the_committed_runs_are_shown(
    tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "paper").mkdir()
    for name in ("params.yaml", "experiments.yaml", "paper/claims.yaml", "paper/runs.jsonl"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "paper" / "tables", tmp_path / "paper" / "tables")
    (tmp_path / "mlflow.db").write_bytes(database)
    (tmp_path / "artifacts" / "two-stage" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "argv", ["reproduce", "tracking"])
    assert command() == 0
    arms = len(by_key(load_experiments(ROOT / "experiments.yaml")))
    assert f"1 of {arms} arms were run here" in capsys.readouterr().out
    runs = read_rows(ROOT / "paper" / "runs.jsonl")
    with contextlib.closing(sqlite3.connect("mlflow.db")) as connection:
        (found,) = connection.execute("SELECT COUNT(*) FROM tags WHERE key = 'arm'").fetchone()
    assert found == len(runs)
    assert (tmp_path / "paper" / "runs.jsonl").read_bytes() == (
        ROOT / "paper" / "runs.jsonl"
    ).read_bytes()
