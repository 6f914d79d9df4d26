"""How long stages take: the log of those that ran, and the table of what to expect."""

import contextlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reproduce.utils.environment import machine
from reproduce.utils.files import UnusableFile, read_csv, write_csv

EXPECTED = Path("timings.csv")
"""Seconds each stage takes on the reference machine, beside params.yaml."""

CALIBRATION = "(calibration)"
"""What the seconds of `calibration` on the reference machine are called in that table."""

BETWEEN = "(between)"
"""What the seconds from the end of a stage to the beginning of the next are called there."""

PAUSE = 600.0
"""Seconds without a stage after which a new run begins, where no `dvc` process tells."""

Row = dict[str, Any]


def logged(log: Path) -> list[Row]:
    """Return the rows of a log; a line that a kill cut off is left out."""
    rows: list[Row] = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            rows.append({**row, "seconds": float(row["seconds"]), "at": float(row["at"])})
    return [row for row in rows if "stage" in row]


def add_time(log: Path, stage: str, seconds: float) -> None:
    """Add to `log` that `stage` has just ended, with its seconds, memory and machine.

    The log is JSON Lines of {stage, seconds, at (Unix time of the end), memory_mb (of the largest
    process), machine (see `environment`)}, to be kept by no tool.
    """
    row = {"stage": stage, "seconds": round(seconds, 2), "at": round(time.time()),
           "memory_mb": _memory(), "machine": machine()}  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        # A kill may have cut off the line before: it must not take this one with it.
        stream.write("\n" + json.dumps(row) + "\n")


def _memory() -> int:
    """Return the most memory that a process of this stage has held, in MB."""
    import resource

    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(each).ru_maxrss for each in who)
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def made_here(log: Path, stages: Iterable[str]) -> bool:
    """Return whether the latest run of each stage that `log` knows was on a machine like this one.

    The log is kept by no tool, so results that were pulled have no entry in it.
    """
    latest = {row["stage"]: row for row in logged(log)}
    here = machine()
    return all(name in latest and latest[name].get("machine", here) == here for name in stages)


def save_expected(log: Path, order: Sequence[str], target: Path = EXPECTED) -> None:
    """Write the latest seconds and memory of each stage in `log` to `target`, as what to expect.

    Raises UnusableFile naming the stages that the log lacks.
    """
    found = logged(log)
    latest = {row["stage"]: row for row in found}
    missing = [name for name in order if name not in latest]
    if missing:
        raise UnusableFile(f"{log}: no time of {', '.join(missing)}; run `dvc repro --force`")
    rows = [
        {"stage": name, "seconds": f"{latest[name]['seconds']:.1f}",
         "memory_mb": latest[name].get("memory_mb", "")}
        for name in order
    ]  # fmt: skip
    gap = {"stage": BETWEEN, "seconds": f"{_between(found):.1f}", "memory_mb": ""}
    pace = {"stage": CALIBRATION, "seconds": f"{calibration():.3f}", "memory_mb": ""}
    write_csv(target, [*rows, gap, pace])


def _between(rows: Sequence[Row]) -> float:
    """Return the median of the seconds between stages that follow each other without a pause."""
    gaps = [
        max(0.0, later["at"] - later["seconds"] - row["at"])
        for row, later in itertools.pairwise(rows)
    ]
    return statistics.median([gap for gap in gaps if gap < PAUSE] or [0.0])


class Expected(NamedTuple):
    """What a stage takes on the reference machine; 0 MB where its memory was not measured."""

    seconds: float
    memory_mb: float


def expected_of(source: Path) -> dict[str, Expected]:
    """Return the table at `source` as stage -> what it takes; empty where there is none.

    Raises UnusableFile where it lacks a column or a number.
    """
    rows = read_csv(source) if source.is_file() else []
    try:
        return {
            row["stage"]: Expected(float(row["seconds"]), float(row.get("memory_mb") or 0))
            for row in rows
        }
    except (KeyError, ValueError) as error:
        raise UnusableFile(
            f"{source}: needs a stage and its seconds in every row ({error}); `reproduce timings` "
            "writes it once all stages have run"
        ) from None


def expected_seconds(source: Path) -> dict[str, float]:
    """Return stage -> seconds of the table at `source`, as `expected_of` reads it."""
    return {name: found.seconds for name, found in expected_of(source).items()}


def calibration() -> float:
    """Return the seconds of a fixed calculation, matrix products mostly; the fastest of five."""
    import numpy as np

    matrix = np.random.default_rng(0).standard_normal((768, 768), dtype=np.float32)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(20):
            matrix @ matrix
        times.append(time.perf_counter() - began)
    return min(times)
