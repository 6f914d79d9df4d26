"""The order of stages, and the estimate of the time left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reproduce.config import load_experiments
from reproduce.utils.stage_log import PAUSE
from reproduce.utils.stages import (
    TimeLeft,
    estimate,
    finished,
    headline,
    stage,
    stages,
)

ROOT = Path(__file__).parent.parent
ORDER = ["a", "b", "c", "d"]
EXPECTED = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0}


def test_stages_come_after_what_they_need() -> None:
    experiments = load_experiments(ROOT / "experiments.yaml")
    order = stages(experiments)
    assert order[:4] == ["data", "entailment", "base", "two-stage/base"]
    assert order[-3:] == ["tables", "figures", "tracking"]
    middle = order.index("candidates")
    assert order[middle - 1 : middle + 3] == ["methods/MTL", "candidates", "score", "methods/ReSet"]
    assert len(order) == len(set(order)) == sum(map(len, experiments.values())) + 8
    for experiment, arms in experiments.items():
        for name, arm in arms.items():
            assert order.index(arm.start) < order.index(f"{experiment}/{name}")


def test_the_first_stage_has_all_before_it() -> None:
    assert estimate("a", ORDER, EXPECTED, {}) == TimeLeft(100.0, 100.0)


def test_skipped_stages_do_not_count() -> None:
    assert estimate("c", ORDER, EXPECTED, {}) == TimeLeft(70.0, 70.0)


def test_stages_at_the_expected_pace() -> None:
    assert estimate("c", ORDER, EXPECTED, {"a": 10.0, "b": 20.0}) == TimeLeft(70.0, 100.0)


def test_a_slow_machine_scales_what_is_left() -> None:
    # Pace: (2 * 30 + 5) / (30 + 5), where 5 is 5 % of the whole.
    found = estimate("c", ORDER, EXPECTED, {"a": 20.0, "b": 40.0})
    assert found and found.left == pytest.approx(70 * 65 / 35)
    assert found.whole == pytest.approx(70 * 65 / 35 + 60)


def test_a_short_slow_stage_hardly_counts() -> None:
    expected = {"a": 0.1, "b": 1000.0}
    found = estimate("b", ["a", "b"], expected, {"a": 1.0})
    assert found and found.left == pytest.approx(1000, rel=0.02)


def test_a_stage_that_was_done_before_its_turn_is_not_left() -> None:
    assert estimate("b", ORDER, EXPECTED, {"c": 30.0}) == TimeLeft(60.0, 90.0)


def test_a_stage_run_again_counts_as_left() -> None:
    assert estimate("d", ORDER, EXPECTED, {"d": 40.0}) == TimeLeft(40.0, 40.0)


def test_an_unknown_stage_counts_as_the_mean() -> None:
    assert estimate("a", ["a", "new"], {"a": 10.0}, {}) == TimeLeft(20.0, 20.0)


@pytest.mark.parametrize(("name", "expected"), [("a", {}), ("z", EXPECTED), ("a", {"a": 0.0})])
def test_nothing_is_said_where_nothing_is_known(name: str, expected: dict[str, float]) -> None:
    assert estimate(name, ORDER, expected, {}) is None


def test_finished_takes_the_stages_since_dvc_began() -> None:
    rows = [
        {"stage": "a", "seconds": 50.0, "at": 1040.0},
        {"stage": "b", "seconds": 5.0, "at": 1060.0},
    ]
    assert finished(rows, 1100.0, began=1050.0) == {"b": 5.0}
    assert finished(rows, 1100.0, began=900.0) == {"a": 50.0, "b": 5.0}


def test_finished_ends_at_a_pause_where_dvc_is_not_there() -> None:
    rows = [
        {"stage": "a", "seconds": 1.0, "at": 1000.0},
        {"stage": "b", "seconds": 900.0, "at": 1000.0 + PAUSE + 902},
        {"stage": "c", "seconds": 900.0, "at": 1000.0 + PAUSE + 1802},
    ]
    assert finished(rows, rows[-1]["at"] + 1, None) == {"b": 900.0, "c": 900.0}  # type: ignore[operator]
    assert finished(rows, rows[-1]["at"] + PAUSE + 1, None) == {}  # type: ignore[operator]


def test_headline() -> None:
    assert headline("x", (), None) == "x"
    assert headline("b", ORDER, None) == "[2/4] b"
    said = headline("b", ORDER, TimeLeft(540, 840))
    assert said == "[2/4] b — at most about 9 min left of 14 min"


def test_a_stage_is_logged_once_it_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, timings = tmp_path / "logs/timings.jsonl", tmp_path / "timings.csv"
    timings.write_text("stage,seconds\na,60\nb,60\n", encoding="utf-8")
    with stage("a", log, ["a", "b"], timings):
        pass
    with pytest.raises(KeyError), stage("b", log, ["a", "b"], timings):
        raise KeyError
    rows = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line]
    assert [row["stage"] for row in rows] == ["a"]
    assert (
        set(rows[0]) == {"stage", "seconds", "at", "memory_mb", "machine"}
        and rows[0]["memory_mb"] > 10
    )
    assert "[1/2] a — at most about 2 min left of 2 min" in capsys.readouterr().out


def test_the_run_begins_with_the_dvc_process_above(tmp_path: Path) -> None:
    inner = (
        "from reproduce.utils.stages import _run_began, mark_run; mark_run(); print(_run_began())"
    )
    dvc = tmp_path / "dvc"
    dvc.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}])\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def began(**more: str) -> str:
        command = [sys.executable, str(dvc), "repro"]
        found = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**environment, **more}
        )
        return found.stdout.strip()

    assert float(began(DVC_STAGE="data")) > 1e9
    environment.pop("DVC_STAGE", None)
    assert began() == "None"
