"""The order of stages, the log of those that ran, and the time left."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reproduce.utils.files import read_csv
from reproduce.utils.seeds import for_each_seed
from reproduce.utils.stage_log import (
    LOG,
    Expected,
    log_run,
    read_log,
    read_timings,
    save_timings,
    stage,
    stage_order,
)

TIMINGS = "stage,seconds,memory_mb\na,60,10\nb,480,\nc,60,10\n"


def test_sampling_comes_before_the_first_arm_that_needs_it() -> None:
    arms: Any = {
        "MTL": SimpleNamespace(select=None),
        "ReSet": SimpleNamespace(select=True, made_from="MTL"),
        "other": SimpleNamespace(select=True, made_from="MTL"),
        "round-2": SimpleNamespace(select=True, made_from="ReSet"),
    }
    assert stage_order(arms) == [
        "data", "judges", "pretrain", "MTL", "candidates@MTL", "score@MTL", "ReSet", "other",
        "candidates@ReSet", "score@ReSet", "round-2", "tables", "figures", "tracking",
    ]  # fmt: skip


def test_a_stage_says_its_place_and_the_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timings.csv").write_text(TIMINGS)
    for name in ("b", "c", "new"):
        with stage(name, ["a", "b", "c", "new"], tmp_path):
            pass
    assert capsys.readouterr().out.splitlines() == [
        "[2/4] b, about 9 min left", "[3/4] c, about 60 s left", "[4/4] new",
    ]  # fmt: skip


def test_a_stage_is_logged_once_it_succeeds(tmp_path: Path) -> None:
    with stage("a", ["a", "b"], tmp_path):
        pass
    with pytest.raises(KeyError), stage("b", ["a", "b"], tmp_path):
        raise KeyError
    (line,) = read_log(tmp_path)
    assert (line.stage, line.seed) == ("a", None)
    assert line.started > 1e9 and 0 <= line.seconds < 60 and line.memory_mb > 10
    assert set(json.loads((tmp_path / LOG).read_text())) == {
        "stage", "seed", "started", "seconds", "memory_mb",
    }  # fmt: skip


def log_seed(folder: Path, seed: int) -> None:
    with log_run("a", seed, folder):
        pass


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_seeds_in_parallel_each_add_a_line(tmp_path: Path) -> None:
    for_each_seed(partial(log_seed, tmp_path), range(40), 4)
    assert sorted(line.seed or 0 for line in read_log(tmp_path)) == list(range(40))


def test_published_timings_are_the_latest_of_each_stage(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        with log_run(name, folder=tmp_path):
            pass
    log_seed(tmp_path, 0)
    *_, latest, _ = read_log(tmp_path)
    with (tmp_path / LOG).open("a") as log:
        log.write('{"stage": "c", "sec')  # A line that a kill has cut off.
    save_timings(["b", "a"], tmp_path)
    assert [row["stage"] for row in read_csv(tmp_path / "timings.csv")] == ["b", "a"]
    assert read_timings(tmp_path)["a"] == Expected(round(latest.seconds, 1), latest.memory_mb)


def test_a_stage_that_is_not_in_the_log_keeps_what_was_published_of_it(tmp_path: Path) -> None:
    (tmp_path / "timings.csv").write_text(TIMINGS)
    with log_run("a", folder=tmp_path):
        pass
    save_timings(["a", "b", "new"], tmp_path)
    rows = read_csv(tmp_path / "timings.csv")
    assert [row["seconds"] for row in rows] == ["0.0", "480", ""]
    assert read_timings(tmp_path).keys() == {"a", "b"}
