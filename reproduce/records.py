"""What MLflow is told of an arm and seed: settings, scores, losses, samples.

Read from the artifacts, or, where nothing was run, from the record of runs that a repository keeps.
"""

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import fsum
from pathlib import Path
from typing import Any

from reproduce.config import Params, Training
from reproduce.evaluation.results import FAITHFULNESS, OBJECTIVES, Arms, read_trials
from reproduce.judges.validation import sound_sets
from reproduce.schema import Example, read_sets
from reproduce.training.sampler import steps_in
from reproduce.utils.files import (
    SUMS,
    WEIGHTS,
    UnusableFile,
    checked,
    digest,
    fingerprint,
    read_json,
    read_rows,
    text_id,
    write_rows,
)

SAMPLES_A_SET = 5

CODE = ("records", "results", "stage_records", "statistics", "training/batches", "validation")
"""Modules that decide what a run holds: after a change of one, runs are logged anew."""

Row = dict[str, Any]
Point = tuple[str, float, int]
"""Metric, value, step."""


@dataclass(frozen=True)
class Cell:
    """One arm and seed: a child run, and a cell of a table.

    `record` is the fingerprint of its artifacts, `scored` that of what else its means depend on:
    which judges were found sound, and the code that takes the means. `kept` says that its
    artifacts are not here.
    """

    experiment: str
    arm: str
    seed: int
    record: str
    scored: str = ""
    kept: bool = False

    @property
    def name(self) -> str:
        """Return what the tag `cell` of the run says."""
        return f"{self.experiment}/{self.arm}/seed-{self.seed}"


@dataclass(frozen=True)
class Content:
    """What a child run holds besides its tags; `samples` is "" where its responses are not here."""

    parameters: dict[str, str]
    inputs: dict[str, str]
    points: list[Point]
    samples: str


Runs = dict[Cell, Callable[[], Content]]
"""What each run holds is read when it is asked for: most calls find most runs logged already."""


def runs_here(params: Params, experiments: Arms, artifacts: Path) -> Runs:
    """Return every run of a study, read from its artifacts.

    Raises UnusableFile naming what is missing; reading a run, what is damaged or answers other
    prompts.
    """
    cells = cells_of(params, experiments, artifacts)

    @cache
    def prompts() -> dict[str, Example]:
        return {e.id: e for found in read_sets(artifacts / "evaluation").values() for e in found}

    @cache
    def sound() -> Collection[str]:
        return sound_sets(read_trials(artifacts), params)

    @cache
    def judged(arm: Path) -> dict[int, list[Row]]:
        whole = checked(arm, unread=WEIGHTS)
        return comparable(
            {n: read_rows(whole / f"seed-{n}" / "evaluation.jsonl") for n in params.seeds}
        )

    def read(cell: Cell) -> Content:
        arm = artifacts / cell.experiment / cell.arm
        return content(cell, arm, judged(arm)[cell.seed], prompts(), sound())

    return {cell: cache(partial(read, cell)) for cell in cells}


def keep_runs(target: Path, runs: Runs) -> None:
    """Write runs, one a line, without their responses, so that a repository can hold them.

    A file that holds these runs already is left alone.
    """
    with contextlib.suppress(UnusableFile):  # what is damaged is written anew
        if target.is_file() and list(kept_runs(target)) == [replace(c, kept=True) for c in runs]:
            return
    write_rows(target, [
        {"experiment": cell.experiment, "arm": cell.arm, "seed": cell.seed,
         "record": cell.record, "scored": cell.scored,
         "parameters": found.parameters, "inputs": found.inputs, "points": found.points}
        for cell, read in runs.items() for found in [read()]
    ])  # fmt: skip


def kept_runs(source: Path) -> Runs:
    """Return the runs of a file of `keep_runs`; raise UnusableFile where it is none."""
    try:
        return {
            Cell(row["experiment"], row["arm"], row["seed"], row["record"], row["scored"], True):
            partial(Content, row["parameters"], row["inputs"], list(map(tuple, row["points"])), "")
            for row in read_rows(source)
        }  # fmt: skip
    except KeyError as error:
        raise UnusableFile(f"{source}: lacks {error}; take it from the repository") from error


def score_points(
    rows: Sequence[Row], examples: Mapping[str, Example], sound: Collection[str], steps: int
) -> list[Point]:
    """Return the objectives of judged responses: "faithfulness/<data set>" and "…/mean".

    The mean is over the data sets of the objective, probes left out, and for faithfulness over
    the `sound` ones, as in the tables; there is none where one of these has no score. `steps` are
    the optimiser steps of the whole training; a point's step is its share of them.
    """
    scores: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for measure in OBJECTIVES:
        for row in rows:
            if examples[row["example"]].kind in measure.kinds:
                # A data set without any score has its place, too.
                found = scores[measure.name, row["progress"]][row["dataset"]]
                if row[measure.column] is not None:
                    found.append(row[measure.column])
    probes = {example.dataset for example in examples.values() if example.probe}
    points: list[Point] = []
    for (name, progress), sets in scores.items():
        step = round(progress * steps)
        means = {each: fsum(found) / len(found) for each, found in sets.items() if found}
        points += [(f"{name}/{dataset}", mean, step) for dataset, mean in means.items()]
        counted = [
            each for each in sets
            if each not in probes and (name != FAITHFULNESS.name or each in sound)
        ]  # fmt: skip
        if counted and set(counted) <= set(means):
            points.append((f"{name}/mean", fsum(means[x] for x in counted) / len(counted), step))
    return points


def comparable(judged: Mapping[int, Sequence[Row]]) -> dict[int, list[Row]]:
    """Return judged responses by seed, without the scores that another seed lacks for the prompt.

    The tables leave such prompts out. Points on the way are the n-th of each seed.
    """
    gaps: set[tuple[str, int, str]] = set()
    places = {}
    for seed, rows in judged.items():
        order = sorted({row["progress"] for row in rows})
        places[seed] = [(order.index(row["progress"]), row["example"]) for row in rows]
        for place, row in zip(places[seed], rows, strict=True):
            gaps |= {(m.column, *place) for m in OBJECTIVES if row[m.column] is None}
    return {
        seed: [
            row | {m.column: None for m in OBJECTIVES if (m.column, *place) in gaps}
            for place, row in zip(places[seed], rows, strict=True)
        ]
        for seed, rows in judged.items()
    }


def sample_table(rows: Sequence[Row], examples: Mapping[str, Example]) -> str:
    """Return final responses with their judgements as the JSON of an MLflow table.

    These are the first of each data set by example id, so that all runs show the same prompts.
    """
    final: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["example"]):
        if row["progress"] == 1.0:
            final[row["dataset"]].append(row)
    columns = ["dataset", "example", "prompt", "gold", "response",
               "task", "faithfulness", "instruction"]  # fmt: skip
    chosen = [row for name in sorted(final) for row in final[name][:SAMPLES_A_SET]]
    data = []
    for row in chosen:
        example = examples[row["example"]]
        found = {**row, "prompt": example.prompt, "gold": example.response}
        data.append([found[column] for column in columns])
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def loss_points(history: Iterable[Row]) -> list[Point]:
    """Return the loss curve of a training run from the rows of its history."""
    return [("loss", float(row["loss"]), int(row["step"])) for row in history]


def flat(value: Any, prefix: str) -> dict[str, str]:
    """Return dotted name -> text of every setting in nested dicts; those that are None are out."""
    if isinstance(value, Mapping):
        return {k: v for key in value for k, v in flat(value[key], f"{prefix}.{key}").items()}
    if value is None:
        return {}
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def cells_of(params: Params, experiments: Arms, artifacts: Path) -> list[Cell]:
    """Return every arm and seed of a study; raise UnusableFile naming arms that are missing."""
    names = [(e, a, artifacts / e / a) for e, arms in experiments.items() for a in arms]
    missing = [str(folder) for _, _, folder in names if not (folder / SUMS).is_file()]
    if missing:
        raise UnusableFile(
            f"missing or unfinished: {', '.join(missing)}; run `dvc repro` to make what is missing"
        )
    scored = _scored(params, artifacts)
    return [
        Cell(experiment, arm, seed, record, scored)
        for experiment, arm, folder in names
        for record in [fingerprint(folder)]
        for seed in params.seeds
    ]


def _scored(params: Params, artifacts: Path) -> str:
    sound = sorted(sound_sets(read_trials(artifacts), params))
    return text_id(json.dumps([sound, params.judging.carriers]), code_of_points())


def code_of_points() -> str:
    """Return a digest of the code that decides what a run holds besides its artifacts."""
    return text_id(*(digest(Path(__file__).parent / f"{name}.py") for name in CODE))


def content(
    cell: Cell, arm: Path, rows: Sequence[Row], examples: Mapping[str, Example],
    sound: Collection[str],
) -> Content:  # fmt: skip
    """Return what the run of a cell holds, from the folder of its arm and its judged responses.

    Raises UnusableFile where it answers other prompts.
    """
    record, folder = read_json(arm / "record.json"), arm / f"seed-{cell.seed}"
    settings = record["training"]
    unknown = {row["example"] for row in rows} - set(examples)
    if unknown:
        raise UnusableFile(
            f"{folder}: answers prompts that the evaluation sets lack; "
            f"delete {arm} and run `dvc repro`"
        )
    losses, steps = _history(folder, Training.model_validate(settings))
    return Content(
        flat(record["settings"], "arm") | flat(settings, "training"),
        {f"input.{path}": digest for path, digest in record["inputs"].items()},
        losses + score_points(rows, examples, sound, steps),
        sample_table(rows, examples),
    )


def _history(folder: Path, settings: Training) -> tuple[list[Point], int]:
    """Return the loss curve of a run and its number of optimiser steps; none if untrained."""
    if not (folder / "history.json").is_file():
        return [], 0
    history = read_json(folder / "history.json")
    fitting = (folder / "train.jsonl").read_bytes().count(b"\n") - history["too_long"]
    return loss_points(history["losses"]), steps_in(fitting, settings)
