"""What MLflow is told of the stages that are no arm: the base models, the judges, the rewards."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from statistics import fmean
from typing import Any

from reproduce.config import Params
from reproduce.evaluation.results import OBJECTIVES, Arms, read_trials
from reproduce.judges.validation import Unsound, reached
from reproduce.records import (
    Cell,
    Content,
    Point,
    Runs,
    cells_of,
    code_of_points,
    flat,
    loss_points,
)
from reproduce.utils.files import (
    SUMS,
    WEIGHTS,
    UnusableFile,
    checked,
    fingerprint,
    read_json,
    read_rows,
    text_id,
)

EXPERIMENT = "pipeline"
"""What the runs of these stages are gathered under, as those of arms are under their experiment."""

Row = dict[str, Any]
Points = Callable[[], list[Point]]


def stage_runs(params: Params, artifacts: Path) -> Runs:
    """Return a run of the judges, of each base model, and of the candidates' scores, seed by seed.

    An imported base model is one for all seeds, and its run is that of the first. Raises
    UnusableFile where an artifact is missing or, once a run is read, damaged.
    """
    base, judges, scores = (artifacts / name for name in ("base", "validation", "scores"))
    soundness = partial(_soundness, params, artifacts)
    made = [_run("judges", params.validation.seed, judges, params, "judging", soundness)]
    for seed in params.seeds if params.base.tiny else params.seeds[:1]:
        losses = partial(_losses, base / f"seed-{seed}" / "history.json")
        made += [_run("base", seed, base, params, "base", losses)]
    for seed in params.seeds:
        rewards = partial(_rewards, scores / f"scores-{seed}.jsonl")
        made += [_run("rewards", seed, scores, params, "candidates", rewards)]
    return dict(made)


def hashes_here(params: Params, experiments: Arms, artifacts: Path) -> dict[str, tuple[str, str]]:
    """Return run ("methods/MTL/seed-0") -> `record` and `scored`, of what is here of a study.

    Those of stages that are no arm are there once all of these have run; {} where the judges have
    not been measured, or none was found sound.
    """
    there = {
        experiment: {n: arm for n, arm in arms.items() if _sealed(artifacts / experiment / n)}
        for experiment, arms in experiments.items()
    }
    cells: list[Cell] = []
    with contextlib.suppress(Unsound, UnusableFile):
        cells += cells_of(params, there, artifacts)
        cells += stage_runs(params, artifacts)
    return {cell.name: (cell.record, cell.scored) for cell in cells}


def _sealed(folder: Path) -> bool:
    return (folder / SUMS).is_file()


def mean_scores(rows: Iterable[Row]) -> list[Point]:
    """Return what each judge gave the candidates of each strategy, on average."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for measure in OBJECTIVES:
            if row[measure.column] is not None:
                found[f"{measure.name}/{row['strategy']}"].append(row[measure.column])
    return [(name, fmean(values), 0) for name, values in sorted(found.items())]


def _run(
    name: str, seed: int, folder: Path, params: Params, block: str, points: Points
) -> tuple[Cell, Callable[[], Content]]:
    """Return a run whose settings are a block of the parameters."""

    def read() -> Content:
        checked(folder, unread=WEIGHTS)
        return Content(flat(settings, block), {}, points(), "")

    settings = getattr(params, block).model_dump(mode="json")
    judged = json.dumps([settings, params.validation.model_dump(mode="json")], sort_keys=True)
    scored = text_id(judged, code_of_points())
    return Cell(EXPERIMENT, name, seed, fingerprint(folder), scored), cache(read)


def _losses(history: Path) -> list[Point]:
    # An imported model has none.
    return loss_points(read_json(history)) if history.is_file() else []


def _rewards(scores: Path) -> list[Point]:
    return mean_scores(read_rows(scores))


def _soundness(params: Params, artifacts: Path) -> list[Point]:
    found = reached(read_trials(artifacts), params)
    return [(f"auc/{name}", interval.mean, 0) for name, interval in found.items() if interval]
