"""The stages of a study: their order, how long they took, and how long they should take."""

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reproduce.utils.files import read_csv, write_csv

if TYPE_CHECKING:
    from reproduce.config import Arm

LOG = Path("logs/runs.jsonl")
"""Finished stages and seeds on this machine, below the profile's folder; no other tool keeps it."""

TIMINGS = Path("timings.csv")
"""Seconds and memory that each stage took on the reference machine, published with the study."""

PREPARING, SAMPLING = ("data", "judges", "pretrain"), ("candidates", "score")
REPORTING = ("tables", "figures", "tracking")


@dataclass(frozen=True)
class LoggedRun:
    """One line of the log: a finished stage, or one seed of it (`seed` is then not None)."""

    stage: str
    seed: int | None
    started: float
    """Unix time in seconds."""
    seconds: float
    memory_mb: int
    """Of the largest process."""


class Expected(NamedTuple):
    """What a stage takes on the reference machine; 0 MB where its memory was not measured."""

    seconds: float
    memory_mb: float


def stage_order(arms: Mapping[str, "Arm"]) -> list[str]:
    """Return all stages in the order in which they run, given the arms in theirs.

    Sampling and scoring come before the first arm that trains on the scored candidates.
    """
    order: dict[str, None] = dict.fromkeys(PREPARING)
    for name, arm in arms.items():
        order |= dict.fromkeys(sampling_stages(arm))
        order[name] = None
    return [*order, *REPORTING]


def sampling_stages(arm: "Arm") -> list[str]:
    """Return the stages that sample and judge the candidates of which an arm selects."""
    return [f"{stage}@{arm.made_from}" for stage in SAMPLING] if arm.select else []


@contextlib.contextmanager
def stage(name: str, order: Sequence[str], folder: Path = Path()) -> Iterator[None]:
    """Announce a stage ("[12/48] ReSet, about 9 min left") and log it when it succeeds.

    The time left is what `name` and the stages after it took on the reference machine.
    """
    position, expected = order.index(name), read_timings(folder)
    left = sum(expected[later].seconds for later in order[position:] if later in expected)
    time_left = f", about {format_duration(left)} left" if left else ""
    print(f"[{position + 1}/{len(order)}] {name}{time_left}", flush=True)
    with log_run(name, folder=folder):
        yield


@contextlib.contextmanager
def log_run(name: str, seed: int | None = None, folder: Path = Path()) -> Iterator[None]:
    """Add a line to the log when the block, a stage or one seed of it, succeeds."""
    started, clock = time.time(), time.monotonic()
    yield
    seconds = round(time.monotonic() - clock, 2)
    line = LoggedRun(name, seed, round(started, 2), seconds, _peak_memory_mb())
    (folder / LOG).parent.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        # In one write: the seeds of a stage are processes that append to the same file.
        os.write(log, (json.dumps(asdict(line)) + "\n").encode())
    finally:
        os.close(log)


def read_log(folder: Path = Path()) -> list[LoggedRun]:
    """Return the log, oldest line first, without lines that are damaged; [] where there is none."""
    log, runs = folder / LOG, []
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            row = json.loads(line)  # Old lines have more values.
            runs.append(LoggedRun(*(row[field.name] for field in fields(LoggedRun))))
    return runs


def read_timings(folder: Path = Path()) -> dict[str, Expected]:
    """Return what to expect of each stage whose time was published."""
    return {
        row["stage"]: Expected(float(row["seconds"]), float(row["memory_mb"] or 0))
        for row in _timings(folder)
        if row["seconds"]
    }


def save_timings(order: Sequence[str], folder: Path = Path()) -> None:
    """Publish the latest time and memory of every stage in the log as what to expect.

    A stage that DVC restored from its cache is not in the log: what was published of it stays.
    """
    rows: dict[str, dict[str, Any]]
    rows = {name: {"stage": name, "seconds": "", "memory_mb": ""} for name in order}
    rows |= {row["stage"]: row for row in _timings(folder)}
    rows |= {
        run.stage: {"stage": run.stage, "seconds": f"{run.seconds:.1f}", "memory_mb": run.memory_mb}
        for run in read_log(folder)
        if run.seed is None
    }
    write_csv(folder / TIMINGS, [rows[name] for name in order])


def _timings(folder: Path) -> list[dict[str, str]]:
    return read_csv(folder / TIMINGS) if (folder / TIMINGS).is_file() else []


def format_duration(seconds: float) -> str:
    """Return a duration in seconds as text, to about two digits: "40 s", "9 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _peak_memory_mb() -> int:
    usage = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(who).ru_maxrss for who in usage)
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
