"""The log of stages, and the table of what to expect."""

import json
from pathlib import Path

import pytest

from reproduce.utils.files import UnusableFile
from reproduce.utils.stage_log import made_here, save_expected
from reproduce.utils.stages import forecast, stage


def test_a_cut_off_line_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "timings.jsonl"
    log.write_text('{"stage": "a", "seconds": 1, "at": 2}\n{"stage": "b", "se', encoding="utf-8")
    with stage("c", log, ["c"], tmp_path / "none.csv"):
        pass
    assert capsys.readouterr().out == "[1/1] c\n"
    save_expected(log, ["a", "c"], tmp_path / "timings.csv")  # the next line is whole


def test_timings_without_the_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "timings.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UnusableFile, match="a stage and its seconds"):
        stage("a", tmp_path / "log", ["a"], tmp_path / "timings.csv").__enter__()


def test_save_expected_writes_the_latest_times(tmp_path: Path) -> None:
    log, target = tmp_path / "log", tmp_path / "timings.csv"
    rows = [{"stage": s, "seconds": n, "at": 13 * n, "memory_mb": 9} for n, s in enumerate("aba")]
    del rows[1]["memory_mb"]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    save_expected(log, ["a", "b"], target)
    *lines, last = target.read_text("utf-8").splitlines()
    assert lines == ["stage,seconds,memory_mb", "a,2.0,9", "b,1.0,", "(between),11.5,"]
    assert last.startswith("(calibration),0.")
    with pytest.raises(UnusableFile, match="no time of c"):
        save_expected(log, ["a", "c"], target)


def test_the_forecast_scales_with_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "timings.csv"
    source.write_text("stage,seconds\na,200\nb,400\n(calibration),0.5\n")
    monkeypatch.setattr("reproduce.utils.stages.calibration", lambda: 1.0)
    assert forecast(["a", "b"], source) == "about 20 min here, 10 min on the reference machine"
    source.write_text("stage,seconds\na,200\nb,400\n(between),30\n(calibration),0.5\n")
    assert forecast(["a", "b"], source) == "about 22 min here, 11 min on the reference machine"
    # A stage of which nothing is known yet counts as the mean of the others.
    assert forecast(["a", "b", "c"], source) == (
        "about 33 min here, 16 min on the reference machine"
    )
    assert forecast(["c"], source) is None
    assert forecast(["a"], tmp_path / "none.csv") is None


def test_what_was_pulled_was_not_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "timings.jsonl"
    with stage("a/b", log):
        pass
    assert made_here(log, ["a/b"])
    assert not made_here(log, ["a/b", "a/c"])
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert not made_here(log, ["a/b"])
    assert not made_here(tmp_path / "none.jsonl", ["a/b"])
