"""What runs, how far the study is, and how long it still takes at most."""

import contextlib
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from reproduce.config import Arm, Params, by_key
from reproduce.environment import machine
from reproduce.files import UnusableFile, read_csv, write_csv

FIRST = ("data", "entailment", "base")
SAMPLING = ("candidates", "score")
LAST = ("tables", "figures", "tracking")

EXPECTED = Path("timings.csv")
"""Seconds each stage takes on the reference machine, beside params.yaml."""

CALIBRATION = "(calibration)"
"""What the seconds of `calibration` on the reference machine are called in that table."""

BETWEEN = "(between)"
"""What the seconds from the end of a stage to the beginning of the next are called there."""

TRUST = 0.05
"""Share of the whole study that must be done before its own pace counts as much as the table."""

PAUSE = 600.0
"""Seconds without a stage after which a new run begins, where no `dvc` process tells."""

BEGAN = "REPRODUCE_RUN_BEGAN"

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run may still take, and what it takes with the stages already done."""

    left: float
    whole: float


@contextlib.contextmanager
def stage(
    name: str, log: Path, order: Sequence[str] = (), expected: Path = EXPECTED
) -> Iterator[None]:
    """Say that the stage `name` begins; on success add the time and memory it took to `log`.

    Args:
        name: of the stage, as `stages` names it.
        log: JSON Lines of {stage, seconds, at (Unix time of the end), memory_mb (of the largest
            process), machine (see `environment`)}, to be kept by no tool.
        order: all stages; without it only the name is said.
        expected: CSV of stage and seconds; without it no time is said.
    """
    done = finished(logged(log), time.time(), _run_began())
    found = estimate(name, order, _read_expected(expected), done)
    print(headline(name, order, found), flush=True)
    began = time.monotonic()
    yield
    seconds = round(time.monotonic() - began, 2)
    row = {"stage": name, "seconds": seconds, "at": round(time.time()), "memory_mb": _memory(),
           "machine": machine()}  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        # A kill may have cut off the line before: it must not take this one with it.
        stream.write("\n" + json.dumps(row) + "\n")


def stages(params: Params, experiments: Mapping[str, Mapping[str, Arm]]) -> list[str]:
    """Return all stages in the order in which they run: arms are named "experiment/arm".

    Sampling comes before the first arm that selects from the candidates.
    """
    arms = by_key(experiments)
    names = list(arms)
    selecting = [names.index(name) for name, arm in arms.items() if arm.reads == "scores"]
    if selecting:
        names[selecting[0] : selecting[0]] = SAMPLING
    return [*FIRST, *names, *LAST]


def estimate(
    name: str, order: Sequence[str], expected: Mapping[str, float], done: Mapping[str, float]
) -> Estimate | None:
    """Return the time left if every stage from `name` on has to run; None if nothing is known.

    The expected seconds are scaled by the pace of the stages done in this run, which is drawn
    towards 1 while those are few. A stage that is not in `expected` counts as their mean.

    Args:
        name: the stage that begins now.
        order: all stages.
        expected: stage -> seconds on the reference machine.
        done: stage -> seconds, of the stages that this run has finished.
    """
    known = [expected[stage] for stage in order if stage in expected]
    if name not in order or not sum(known):
        return None
    usual = sum(known) / len(known)
    trusted = TRUST * usual * len(order)
    measured = [stage for stage in done if stage in expected]
    actual = sum(done[stage] for stage in measured)
    pace = (actual + trusted) / (sum(expected[stage] for stage in measured) + trusted)
    ahead = [stage for stage in order[order.index(name) :] if stage not in done or stage == name]
    between = expected.get(BETWEEN, 0.0)
    left = pace * sum(expected.get(stage, usual) + between for stage in ahead)
    return Estimate(left, left + sum(done[stage] for stage in done if stage not in ahead))


def finished(rows: Sequence[Row], now: float, began: float | None) -> dict[str, float]:
    """Return stage -> seconds of the log's stages that belong to the run that is under way.

    Args:
        rows: the log, oldest first.
        now: Unix time.
        began: Unix time at which the run began; if None, all stages count that follow each
            other up to `now` without a longer pause than PAUSE.
    """
    found: dict[str, float] = {}
    later = now
    for row in reversed(rows):
        start = row["at"] - row["seconds"]
        # Times in the log are whole seconds.
        if (began is not None and start < began - 1) or (
            began is None and row["at"] < later - PAUSE
        ):
            break
        found.setdefault(row["stage"], row["seconds"])
        later = start
    return found


def headline(name: str, order: Sequence[str], found: Estimate | None) -> str:
    """Return the line that announces a stage: "[12/44] methods/MTL — at most about 9 min left"."""
    if name not in order:
        return name
    line = f"[{order.index(name) + 1}/{len(order)}] {name}"
    if found is None:
        return line
    return f"{line} — at most about {spoken(found.left)} left of {spoken(found.whole)}"


def told(items: Iterable[T], title: str, every: float = 10.0) -> Iterator[T]:
    """Yield the items, and say every so many seconds how far they are.

    Of a sequence it also says how long it still takes; how long a stream is nobody knows.
    """
    total = len(items) if isinstance(items, Sequence) else None
    began = said = time.monotonic()
    for number, item in enumerate(items):
        now = time.monotonic()
        if now - said >= every:
            said = now
            print(f"  {title}: {_so_far(number, total, now - began)}", flush=True)
        yield item


def _so_far(number: int, total: int | None, took: float) -> str:
    if total is None:
        return f"{number:,}"
    return f"{number}/{total}, about {spoken(took / number * (total - number))} left"


def spoken(seconds: float) -> str:
    """Return a duration in seconds as text, to about two digits: "40 s", "9 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


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


def forecast(order: Sequence[str], source: Path = EXPECTED) -> str | None:
    """Return how long the whole study takes on this machine, as text; None if nothing is known.

    The seconds in `source` are scaled by what a fixed calculation takes here and took there.
    """
    expected = _read_expected(source)
    if not {*order, CALIBRATION} <= set(expected):
        return None
    pace = calibration() / expected[CALIBRATION]
    whole = sum(expected[name] + expected.get(BETWEEN, 0.0) for name in order)
    return f"about {spoken(pace * whole)} here, {spoken(whole)} on the reference machine"


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


def _memory() -> int:
    """Return the most memory that a process of this stage has held, in MB."""
    import resource

    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(each).ru_maxrss for each in who)
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def made_here(log: Path, arms: Iterable[str]) -> bool:
    """Return whether the latest run of each arm that `log` knows was on a machine like this one.

    The log is kept by no tool, so results that were pulled have no entry in it.
    """
    latest = {row["stage"]: row for row in logged(log)}
    here = machine()
    return all(arm in latest and latest[arm].get("machine", here) == here for arm in arms)


def logged(log: Path) -> list[Row]:
    """Return the rows of a log; a line that a kill cut off is left out."""
    rows: list[Row] = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            rows.append({**row, "seconds": float(row["seconds"]), "at": float(row["at"])})
    return [row for row in rows if "stage" in row]


def _read_expected(source: Path) -> dict[str, float]:
    if not source.is_file():
        return {}
    rows = read_csv(source)
    try:
        return {row["stage"]: float(row["seconds"]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableFile(f"{source}: needs the columns stage and seconds ({error})") from None


def mark_run() -> None:
    """Keep when the `dvc` process above this one began: a fork of the warm server has none above.

    Kept in the environment variable REPRODUCE_RUN_BEGAN, as Unix time.
    """
    os.environ.pop(BEGAN, None)
    if "DVC_STAGE" in os.environ and (began := _dvc_began()):
        os.environ[BEGAN] = str(began)


def _run_began() -> float | None:
    return float(os.environ[BEGAN]) if BEGAN in os.environ else None


def _dvc_began() -> float | None:
    import psutil  # type: ignore[import-untyped]

    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process().parents():
            if any(Path(word).stem == "dvc" for word in parent.cmdline()[:3]):
                return float(parent.create_time())
    return None
