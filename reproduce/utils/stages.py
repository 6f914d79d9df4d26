"""The stages of the study in their order, each announced with the time that is left at most."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reproduce.config import Arm, by_key
from reproduce.utils.progress import spoken
from reproduce.utils.stage_log import (
    BETWEEN,
    CALIBRATION,
    EXPECTED,
    PAUSE,
    Row,
    add_time,
    calibration,
    expected_seconds,
    logged,
)

FIRST = ("data", "entailment", "base")
SAMPLING = ("candidates", "score")
LAST = ("tables", "figures", "tracking")

SAMPLED = "methods/MTL"
"""The arm whose responses are the candidates, as dvc.yaml says."""

TRUST = 0.05
"""Share of the whole study that must be done before its own pace counts as much as the table."""

BEGAN = "REPRODUCE_RUN_BEGAN"


def stages(experiments: Mapping[str, Mapping[str, Arm]]) -> list[str]:
    """Return all stages in the order in which they run: arms are named "experiment/arm".

    Sampling comes before the first arm that selects from the candidates.
    """
    arms = by_key(experiments)
    names = list(arms)
    selecting = [names.index(name) for name, arm in arms.items() if arm.reads == "scores"]
    if selecting:
        names[selecting[0] : selecting[0]] = SAMPLING
    return [*FIRST, *names, *LAST]


@dataclass(frozen=True)
class TimeLeft:
    """Seconds that a run may still take, and what it takes with the stages already done."""

    left: float
    whole: float


@contextlib.contextmanager
def stage(
    name: str, log: Path, order: Sequence[str] = (), expected: Path = EXPECTED
) -> Iterator[None]:
    """Say that the stage `name` begins; on success add to `log` what it took.

    Args:
        name: of the stage, as `stages` names it.
        log: as `add_time` writes it.
        order: all stages; without it only the name is said.
        expected: CSV of stage and seconds; without it no time is said.
    """
    done = finished(logged(log), time.time(), _run_began())
    found = estimate(name, order, expected_seconds(expected), done)
    print(headline(name, order, found), flush=True)
    began = time.monotonic()
    yield
    add_time(log, name, time.monotonic() - began)


def estimate(
    name: str, order: Sequence[str], expected: Mapping[str, float], done: Mapping[str, float]
) -> TimeLeft | None:
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
    return TimeLeft(left, left + sum(done[stage] for stage in done if stage not in ahead))


def forecast(order: Sequence[str], source: Path = EXPECTED) -> str | None:
    """Return how long the whole study takes on this machine, as text; None if nothing is known.

    What `estimate` says before any stage is scaled by what a fixed calculation takes here and took
    on the reference machine.
    """
    expected = expected_seconds(source)
    found = estimate(order[0], order, expected, {})
    if found is None or CALIBRATION not in expected:
        return None
    pace = calibration() / expected[CALIBRATION]
    here, there = spoken(pace * found.whole), spoken(found.whole)
    return f"about {here} here, {there} on the reference machine"


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


def headline(name: str, order: Sequence[str], found: TimeLeft | None) -> str:
    """Return the line that announces a stage: "[12/44] methods/MTL — at most about 9 min left"."""
    if name not in order:
        return name
    line = f"[{order.index(name) + 1}/{len(order)}] {name}"
    if found is None:
        return line
    return f"{line} — at most about {spoken(found.left)} left of {spoken(found.whole)}"


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
