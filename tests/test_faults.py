"""Bad luck and edits: `reproduce verify` names each, with what to do, and overwrites nothing."""

import errno
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_verify
from evidence import Note

from reproduce import index
from reproduce import staleness as faults
from reproduce.cli import command
from reproduce.config import by_key, load_experiments, load_params, training_of
from reproduce.utils.files import digest, read_json, sealed_folder, write_json

Status = Callable[..., None]
WRONG = re.compile("^Fault|^reproduce:|  outside  |proves nothing")


@pytest.fixture
def study(finished: Path) -> Path:
    return finished


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> Status:
    """Let `dvc` answer what a test wants."""

    def answer(out: str = "{}", error: str = "", code: int = 0) -> None:
        done = subprocess.CompletedProcess([], code, out, error)
        monkeypatch.setattr(faults.subprocess, "run", lambda *_, **__: done)

    answer()
    return answer


@pytest.fixture
def verified(
    study: Path, status: Status, monkeypatch: pytest.MonkeyPatch, capsys: Any, note: Note
) -> Callable[..., tuple[int, str]]:
    """Return a caller of `reproduce verify`, after which every file must be as it was.

    What it finds wrong is noted where the call says what was `broken`.
    """
    monkeypatch.chdir(study)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def call(*options: str, broken: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["reproduce", "verify", *options])
        files = sorted(path for path in study.rglob("*") if path.is_file())
        before = {path: digest(path) for path in files}
        result = command()
        assert sorted(path for path in study.rglob("*") if path.is_file()) == files
        assert {path: digest(path) for path in files} == before
        said = "".join(capsys.readouterr())
        if broken:
            lines = [" ".join(line.split()) for line in said.splitlines() if WRONG.search(line)]
            note("What `reproduce verify` says of a result that was broken on purpose", {
                "what was done": broken, "exit": result, "it says": "; ".join(lines),
            })  # fmt: skip
        return result, said

    return call


def resealed(folder: Path, change: Callable[[Path], None]) -> None:
    """Change a sealed folder as a stage of other code would have written it."""
    old = folder.with_name("old")
    folder.rename(old)
    with sealed_folder(folder) as draft:
        for path in old.iterdir():
            if path.name != "SHA256SUMS":
                path.rename(draft / path.name)
        change(draft)
    shutil.rmtree(old)


def test_the_command_says_so_and_exits_accordingly(
    study: Path, status: Status, verified: Any
) -> None:
    code, said = verified()
    assert code == 0 and "identical" in said and "Fault" not in said, said
    status('{"figures": [{"changed deps": {"reproduce/figures.py": "modified"}}]}')
    code, said = verified(broken="code was changed after its stage had run")
    assert (
        code == 1 and "made by other code, parameters or inputs: figures; run `dvc repro`" in said
    )
    status()
    (study / "paper" / "figures" / "one.png").write_bytes(b"two")
    assert verified()[0] == 0
    assert verified("--same-bytes")[0] == 1
    assert verified("--rerun", "--same-bytes")[0] == 0  # compared with what was here before
    test_verify.change_claim(study, verdict="another")
    assert verified(broken="a verdict in the table of claims was changed")[0] == 1


def test_a_table_edited_by_hand_is_named(status: Status, verified: Any) -> None:
    status('{"tables": [{"changed outs": {"paper/tables": "modified"}}]}')
    code, said = verified(broken="a table was edited")
    assert code == 1 and "edited since they were made: paper/tables; `dvc repro`" in said
    assert "`git checkout` brings back" in said


def test_a_result_edited_by_hand_is_named(study: Path, verified: Any) -> None:
    path = study / "artifacts" / "methods" / "MTL" / "seed-0" / "evaluation.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    code, said = verified(broken="one byte was added to the responses of a run")
    assert code == 1 and "edited since it was made; delete" in said and "Traceback" not in said


def test_an_arm_without_a_record_is_named(study: Path, verified: Any) -> None:
    resealed(study / "artifacts/methods/ReSet", lambda draft: (draft / "record.json").unlink())
    code, said = verified(broken="the record of an arm was taken away")
    assert code == 1
    assert "without a record of their run: methods/ReSet; delete them and run `dvc repro`" in said


def test_an_arm_made_with_other_settings_is_named(study: Path, verified: Any) -> None:
    """What the code takes where the parameters are silent, DVC does not see."""

    def change(draft: Path) -> None:
        training = training_of(load_params(), by_key(load_experiments())["methods/ReSet"])
        told = training.model_copy(update={"beta2": 0.95}).model_dump(mode="json")
        write_json(draft / "record.json", {**read_json(draft / "record.json"), "training": told})

    resealed(study / "artifacts/methods/ReSet", change)
    code, said = verified(broken="a default of the training was changed in the code")
    assert code == 1
    assert "made with other settings than hold now: methods/ReSet; run `dvc repro --force`" in said


def test_an_arm_made_from_other_inputs_is_named(study: Path, verified: Any) -> None:
    def change(draft: Path) -> None:
        record = read_json(draft / "record.json")
        record["inputs"]["evaluation"] = "0" * 64
        write_json(draft / "record.json", record)

    resealed(study / "artifacts/methods/ReSet-S", change)
    code, said = verified(broken="an arm was put back that was made from other inputs")
    assert code == 1
    assert "made from other inputs than those that are here: methods/ReSet-S; run" in said


def test_a_missing_run_behind_a_claim_is_named(study: Path, verified: Any) -> None:
    shutil.rmtree(study / "artifacts/methods/ReSet")
    code, said = verified(broken="the runs of an arm that a claim compares were deleted")
    assert code == 1 and "methods/ReSet; `dvc repro` makes them" in said


def test_code_of_another_place_is_named(study: Path, verified: Any) -> None:
    parameters = study / "params.yaml"
    parameters.write_text(parameters.read_text().replace(f"{test_verify.ROOT}/", "/old/place/"))
    code, said = verified()
    assert code == 1 and "of this profile /old/place/reproduce" in said and "rm -rf .venv" in said


def test_a_read_only_folder_is_named(status: Status, verified: Any) -> None:
    reason = "ERROR: unexpected error - [Errno 30] Read-only file system: '.dvc/tmp/lock'"
    status("", f"{reason}\n\nHaving any troubles? Ask us\n", 1)
    code, said = verified()
    assert code == 1
    assert f"`dvc status` cannot say what is stale: {reason}; it writes" in said
    assert "read-only has to be copied first" in said


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_place_that_cannot_be_written_to_is_one_message(
    number: int, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, "no", "paper/tables")

    monkeypatch.chdir(study)
    monkeypatch.setattr("reproduce.utils.files.tempfile.mkdtemp", refuse)
    monkeypatch.setattr(sys, "argv", ["reproduce", "figures"])
    before = sorted((study / "paper").rglob("*"))
    assert command() == 1
    said = capsys.readouterr().err
    assert "reproduce: paper/tables: no; nothing was" in said and "Traceback" not in said
    assert sorted((study / "paper").rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("changed command", True),
        ({"changed deps": {"reproduce/train.py": "modified"}}, True),
        ({"changed deps": {"reproduce/train.py": "deleted"}}, True),
        ({"changed deps": {"params.yaml": {"seeds": "modified", "old": "deleted"}}}, True),
        ({"changed deps": {"artifacts/base": "modified"}}, True),
        ({"changed deps": {"artifacts/base": "deleted"}}, False),
        ({"changed outs": {"artifacts/base": "deleted"}}, False),
    ],
)
def test_what_is_only_missing_makes_no_result_stale(change: Any, expected: bool) -> None:
    assert bool(faults.stale({"stage": [change]})) == expected


def database(folder: Path, version: str = "", runs: int = 0, scored: str = "s") -> Path:
    """Write a database of the form of MLflow's with some finished runs; return its path."""
    with sqlite3.connect(folder / "mlflow.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        version = version or index.newest_schema()
        connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        connection.execute("CREATE TABLE runs (run_uuid TEXT, status TEXT, lifecycle_stage TEXT)")
        connection.execute("CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT)")
        for cell in list(RUNS)[:runs]:
            connection.execute("INSERT INTO runs VALUES (?, 'FINISHED', 'active')", (cell,))
            tags = {"cell": cell, "record": RUNS[cell][0], "scored": scored, "complete": "true"}
            rows = [(cell, key, value) for key, value in tags.items()]
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)
    connection.close()
    return folder / "mlflow.db"


RUNS = {"methods/MTL/seed-0": ("r1", "s"), "pipeline/judges/seed-0": ("r2", "s")}
"""What is here: run -> its record, and what its scores were reckoned with."""


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_an_index_that_holds_all_runs_is_not_mentioned(tmp_path: Path) -> None:
    assert index.state_of_index(database(tmp_path, runs=2), RUNS) == ""


def test_a_half_built_index_is_named(tmp_path: Path) -> None:
    said = index.state_of_index(database(tmp_path, runs=1), RUNS)
    assert said.startswith("MLflow holds 1 of the 2 runs") and "`reproduce tracking` logs" in said


def test_an_index_of_older_runs_is_named(tmp_path: Path) -> None:
    made = database(tmp_path, runs=2)
    newer = RUNS | {"methods/MTL/seed-0": ("r3", "s")}
    assert "holds 1 of the 2" in index.state_of_index(made, newer)


def test_an_index_of_runs_that_were_scored_otherwise_is_named(tmp_path: Path) -> None:
    made = database(tmp_path, runs=2, scored="by older code")
    assert "holds 0 of the 2" in index.state_of_index(made, RUNS)


def test_a_database_of_another_version_is_named(tmp_path: Path) -> None:
    said = index.state_of_index(database(tmp_path, "0" * 12), RUNS)
    assert "schema 000000000000" in said and "move it away" in said


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    said = index.state_of_index(tmp_path / "mlflow.db", RUNS)
    assert "not a database; move it away" in said


def test_no_database_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "mlflow.db"
    assert "there is no MLflow database" in index.state_of_index(missing, RUNS)
    assert not missing.exists()
    assert index.state_of_index(missing, {}) == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert index.state_of_index(missing, RUNS) == ""
