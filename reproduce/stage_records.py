"""What MLflow is told of the stages that are no arm: the base model, the judges, the rewards."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from reproduce.config import Params
from reproduce.files import checked, fingerprint, read_json, read_rows
from reproduce.records import Cell, Content, Point, Runs, flat
from reproduce.results import OBJECTIVES, read_trials
from reproduce.validation import reached

EXPERIMENT = "pipeline"
"""What the runs of these stages are gathered under, as those of arms are under their experiment."""

Row = dict[str, Any]


def stage_runs(params: Params, artifacts: Path) -> Runs:
    """Return a run of the base model, one of the judges, and one of the rewards for each seed.

    Raises UnusableFile where an artifact is missing or damaged.
    """
    base, judges, scores = (artifacts / name for name in ("base", "validation", "scores"))
    for folder in (base, judges, scores):
        checked(folder)
    runs = {
        _cell("base", params.base.seed, base):
        Content(flat(params.base.model_dump(mode="json"), "base"), {}, _losses(base), ""),
        _cell("judges", params.validation.seed, judges):
        Content(flat(params.judging.model_dump(mode="json"), "judging"), {},
                _soundness(params, artifacts), ""),
    }  # fmt: skip
    settings = flat(params.candidates.model_dump(mode="json"), "candidates")
    for seed in params.seeds:
        rows = read_rows(scores / f"scores-{seed}.jsonl")
        runs[_cell("rewards", seed, scores)] = Content(settings, {}, mean_scores(rows), "")
    return runs


def mean_scores(rows: Iterable[Row]) -> list[Point]:
    """Return what each judge gave the candidates of each strategy, on average."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for measure in OBJECTIVES:
            if row[measure.column] is not None:
                found[f"{measure.name}/{row['strategy']}"].append(row[measure.column])
    return [(name, fmean(values), 0) for name, values in sorted(found.items())]


def _cell(name: str, seed: int, folder: Path) -> Cell:
    return Cell(EXPERIMENT, name, seed, fingerprint(folder))


def _losses(base: Path) -> list[Point]:
    if not (base / "history.json").is_file():
        return []  # Imported.
    return [
        ("loss", float(row["loss"]), int(row["step"])) for row in read_json(base / "history.json")
    ]


def _soundness(params: Params, artifacts: Path) -> list[Point]:
    found = reached(read_trials(artifacts), params)
    return [(f"auc/{name}", interval.mean, 0) for name, interval in found.items() if interval]
