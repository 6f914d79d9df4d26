"""The benchmark of sampling and judging: what it compares is the same work."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from reproduce.base import make_base
from reproduce.config import load_params
from reproduce.data.prepare import make_data
from reproduce.utils.files import read_csv, sealed_folder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nano")
    shutil.copy(ROOT / "tests" / "nano" / "params.yaml", folder)
    params, artifacts = load_params(folder / "params.yaml"), folder / "artifacts"
    make_data(params.data, params.validation, artifacts)
    make_base(params, artifacts / "training", artifacts / "pretraining", artifacts / "base")
    return folder


def run(profile: Path, *arguments: str) -> list[dict[str, str]]:
    output = profile / "speed.csv"
    command = [sys.executable, str(ROOT / "analysis" / "speed.py"), *arguments]
    done = subprocess.run(
        [*command, "--profile", str(profile), "--output", str(output)],
        text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with output.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_sampling_is_compared_with_one_prompt_at_a_time(profile: Path) -> None:
    batches, plain, single = run(profile, "sampling", "--prompts", "2", "--samples", "2")
    assert (batches["responses"], plain["responses"], single["responses"]) == ("24", "24", "12")
    assert batches["first_is_times"] == "1.0" and float(single["first_is_times"]) > 0


def test_judging_gives_the_same_scores(profile: Path, encoder: Callable[..., Path]) -> None:
    with sealed_folder(profile / "artifacts" / "entailment") as folder:
        shutil.copytree(encoder(), folder / "model")
    rows = run(profile, "judging", "--alone", "20")
    assert [row["method"] for row in rows] == [
        "as the study asks, empty cache", "one by one", "the same again, full cache",
        "the encoder's products alone",
    ]  # fmt: skip
    assert rows[3]["pairs"] == rows[0]["pairs"] and float(rows[3]["seconds"]) > 0
    assert all(float(row["difference"]) <= 1e-6 for row in rows)
    assert rows[0]["pairs"] == rows[2]["pairs"] and int(rows[0]["pairs"]) > 20
    assert rows[1]["pairs"] == "20"


def test_commands_are_timed_as_whole_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "analysis")
    import clock

    output = tmp_path / "wall-times.csv"
    wanted = {"slow": "sleep 0.3", "files": "touch {scratch}/a; ls {scratch}/a", "long": "true"}
    monkeypatch.setattr(clock, "COMMANDS", {**wanted, "fails": "no-such-command; true"})
    monkeypatch.setattr(clock, "LONG", ("long", "fails"))
    clock.main(repeats=2, output=output)
    clock.main(["lon"], output=output)
    rows = {row["what"]: row for row in read_csv(output)}
    assert {what: row["repeats"] for what, row in rows.items()} == {
        "slow": "2", "files": "2", "long": "1",
    }  # fmt: skip
    assert float(rows["slow"]["seconds"]) >= 0.3 and float(rows["slow"]["memory_mb"]) > 0
    with pytest.raises(SystemExit, match="no-such-command; true failed; what it said is in"):
        clock.main(["fails"], output=output)
    with pytest.raises(typer.BadParameter, match="there are: slow; files; long; fails"):
        clock.main(["other"], output=output)
