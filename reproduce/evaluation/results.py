"""All artifacts of a study, read once into tidy frames, and the means that are taken of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reproduce.bootstrap import Grid, Interval, bootstrap, bootstrap_ratio
from reproduce.config import BY_ENTAILMENT, Arm, ConfigError, Params, Statistics, by_key
from reproduce.judges.validation import sound_sets
from reproduce.schema import Example, read_examples, read_sets
from reproduce.utils.files import WEIGHTS, UnusableFile, checked, read_json, read_rows

Arms = Mapping[str, Mapping[str, Arm]]
Row = dict[str, Any]

BASE = "two-stage/base"
TWO_STAGE = (BASE, "two-stage/IF", "two-stage/CD", "two-stage/CD-IF", "two-stage/IF-CD")
MTL, RESET, RESET_S = "methods/MTL", "methods/ReSet", "methods/ReSet-S"
RESET_FULL = "drivers/full"
"""ReSet with the epochs and the learning rate of MTL, in place of the continuation's."""
MAIN = (*TWO_STAGE, MTL, RESET, RESET_S)
FOLLOWED = TWO_STAGE[1:]
"""The arms whose scores on the way are drawn."""
NAMED = (*MAIN, RESET_FULL)
"""The arms that tables and figures ask for by name; all others are taken as they come."""

COLUMNS = ("task", "faithfulness", "instruction", "exact_match", "token_f1", "rouge_l",
           "instruction_strict", "prompt_strict", "instruction_loose", "prompt_loose", "coverage",
           "k_precision", "entailed", "states_answer", "empty", "rating", "unrated")  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One figure of merit: a score column, macro-averaged over the data sets that it belongs to."""

    name: str
    title: str
    column: str
    kinds: tuple[str, ...]


CD_KINDS = ("extractive", "abstractive")
INSTRUCTION = Measure("instruction", "IF", "instruction", ("instruction",))
FAITHFULNESS = Measure("faithfulness", "Faithfulness", "faithfulness", CD_KINDS)
TASK = Measure("task", "Task", "task", CD_KINDS)
INSTRUCTION_STRICT = Measure(
    "instruction_strict", "IF, strict", "instruction_strict", ("instruction",)
)
INSTRUCTION_LOOSE = Measure("instruction_loose", "IF, loose", "instruction_loose", ("instruction",))
PROMPT_LOOSE = Measure("prompt_loose", "IF, prompt, loose", "prompt_loose", ("instruction",))
COVERAGE = Measure("coverage", "Coverage", "coverage", ("extractive",))
K_PRECISION = Measure("k_precision", "K-precision", "k_precision", ("abstractive",))
PROMPT_STRICT = Measure("prompt_strict", "IF, prompt level", "prompt_strict", ("instruction",))
EXACT_MATCH = Measure("exact_match", "EM", "exact_match", ("extractive",))
TOKEN_F1 = Measure("token_f1", "F1", "token_f1", ("extractive",))
STATES_ANSWER = Measure("states_answer", "States the answer", "states_answer", ("extractive",))
ROUGE_L = Measure("rouge_l", "ROUGE-L", "rouge_l", ("abstractive",))
BOTH = Measure("both", "Mean of IF and faithfulness", "", ())
"""The mean of the two objectives, each a macro average of its own data sets from 0 to 1."""

OBJECTIVES = (INSTRUCTION, FAITHFULNESS, TASK)
MEASURES = (*OBJECTIVES, PROMPT_STRICT, INSTRUCTION_LOOSE, PROMPT_LOOSE, COVERAGE, K_PRECISION,
            EXACT_MATCH, TOKEN_F1, ROUGE_L)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """An interval, the prompts dropped for want of a score, and whether it is a difference."""

    interval: Interval
    dropped: int = 0
    difference: bool = False


@dataclass(frozen=True)
class Results:
    """What a study has found.

    Attributes:
        arms: "experiment/arm" -> settings, in the order of experiments.yaml.
        labels: "experiment/arm" -> label.
        sets: data set -> evaluation examples, probes included.
        scores: a row a judged response; columns experiment, arm, key, label, seed, progress,
            dataset, side, kind, probe, example, memory, response, ended (1 or 0; NaN for a
            continuation of plain text, which has no end) and all of COLUMNS.
        training: a row an arm and seed that trained; columns key, seed, examples, too_long.
        losses: a row a logged step; columns experiment, arm, label, seed, step, loss,
            learning_rate.
        statistics: the settings of every interval.
        carriers: data set -> the measure of its faithfulness, where it may carry a claim.
    """

    arms: dict[str, Arm]
    labels: dict[str, str]
    sets: dict[str, list[Example]]
    scores: Any
    training: Any
    losses: Any
    seeds: tuple[int, ...]
    statistics: Statistics
    carriers: dict[str, str]
    groups: dict[tuple[str, float, str], Any] = field(repr=False)

    def datasets(self, measure: Measure) -> list[str]:
        """Return the names of the data sets, probes left out, that a measure averages over."""
        if measure is BOTH:
            return self.datasets(INSTRUCTION) + self.datasets(FAITHFULNESS)
        names = [n for n, e in self.sets.items() if e[0].kind in measure.kinds and not e[0].probe]
        return [n for n in names if n in self.carriers] if measure is FAITHFULNESS else names

    def lowest(self, measure: Measure) -> float:
        """Return the lowest value that a measure can take; the highest is 1."""
        signed = measure is FAITHFULNESS and set(self.carriers.values()) & set(BY_ENTAILMENT)
        return -1.0 if signed else 0.0

    @property
    def rated(self) -> bool:
        """Return whether instruction following is the rating of a served judge."""
        return bool(self.scores["unrated"].notna().any())

    def probes(self) -> list[str]:
        """Return the names of the data sets that count in no objective."""
        return [name for name, examples in self.sets.items() if examples[0].probe]

    def points(self, key: str) -> list[float]:
        """Return the shares of an arm's training at which it was evaluated, 1.0 last."""
        return sorted({progress for name, progress, _ in self.groups if name == key})

    def frame(self, key: str, dataset: str, progress: float = 1.0) -> Any:
        """Return the scores of an arm on a data set, by seed, then in the order of prompts."""
        return self.groups[key, progress, dataset]

    def grid(self, key: str, dataset: str, column: str, progress: float = 1.0) -> Grid:
        """Return a score column as (seeds, prompts); NaN where the judge gave no score."""
        values = self.frame(key, dataset, progress)[column].to_numpy(dtype=float)
        return np.asarray(values).reshape(len(self.seeds), -1)

    def origin(self, key: str) -> str | None:
        """Return the arm with the scores of the model that an arm starts from; None if untrained.

        The base model's scores are those of the arm that evaluates it without training.
        """
        arm = self.arms[key]
        if not arm.trains:
            return None
        return BASE if arm.start == "base" else arm.start

    def examples(self, key: str) -> float:
        """Return the number of training examples of an arm, a mean over seeds; 0 if untrained."""
        found = self.training[self.training["key"] == key]
        return float(found["examples"].mean()) if len(found) else 0.0

    def estimate(
        self,
        measure: Measure,
        key: str,
        against: str | None = None,
        progress: float = 1.0,
        datasets: Sequence[str] | None = None,
    ) -> Estimate | None:
        """Return a measure of an arm, or its paired difference to the arm `against`.

        A prompt counts if it has a score for all seeds (of both arms). None where there is no
        data set, or one has no such prompt.
        """
        names = self.datasets(measure) if datasets is None else list(datasets)
        grids = [self._difference(measure, key, against, progress, name) for name in names]
        kept = [grid[:, ~np.isnan(grid).any(axis=0)] for grid in grids]
        if not kept or any(grid.size == 0 for grid in kept):
            return None
        dropped = sum(a.shape[1] - b.shape[1] for a, b in zip(grids, kept, strict=True))
        interval = bootstrap(kept, **self.statistics.model_dump())
        return Estimate(interval, dropped, against is not None)

    def mean(self, grid: Grid) -> Estimate:
        """Return the mean over seeds and prompts of a grid without gaps."""
        return Estimate(bootstrap([grid], **self.statistics.model_dump()))

    def ratio(self, hits: Sequence[Grid], cases: Sequence[Grid]) -> Estimate | None:
        """Return the share of cases that are hits, over all grids; None where there is no case."""
        if not any(grid.sum() for grid in cases):
            return None
        return Estimate(bootstrap_ratio(hits, cases, **self.statistics.model_dump()))

    def _difference(
        self, measure: Measure, key: str, against: str | None, progress: float, dataset: str
    ) -> Grid:
        column, scale, low = measure.column, 1.0, 0.0
        if measure is BOTH:
            # A mean over all data sets, weighted so that each objective has half the weight.
            side = INSTRUCTION if dataset in self.datasets(INSTRUCTION) else FAITHFULNESS
            column, low = side.column, self.lowest(side)
            scale = len(self.datasets(BOTH)) / (2 * len(self.datasets(side))) / (1 - low)
        grid = self.grid(key, dataset, column, progress) - low
        if against is not None:
            grid = grid - (self.grid(against, dataset, column) - low)
        return grid * scale


def load(artifacts: Path, experiments: Arms, params: Params) -> Results:
    """Return the results of all arms of `experiments` below `artifacts`.

    Raises UnusableFile naming an arm whose folder is missing, cut off or incomplete and what to
    do about it.
    """
    seeds = params.seeds
    arms = by_key(experiments)
    sets = read_sets(artifacts / "evaluation")
    sound = sound_sets(read_trials(artifacts), params)
    carriers = {n: params.judging.carriers[sets[n][0].kind] for n in sets if n in sound}
    labels: dict[str, str] = {}
    frames, training, losses = [], [], []
    for key, arm in arms.items():
        folder = checked(artifacts / key, unread=WEIGHTS)
        runs = {seed: folder / f"seed-{seed}" for seed in seeds}
        labels[key] = _label(arm, runs[seeds[0]])
        experiment, name = key.split("/")
        names = {"experiment": experiment, "arm": name, "key": key, "label": labels[key]}
        frames.append(_scores(runs, sets).assign(**names))
        if arm.trains:
            more, steps = _history(runs, names)
            training += more
            losses += steps
    scores = pd.concat(frames, ignore_index=True)
    groups = dict(list(scores.groupby(["key", "progress", "dataset"], sort=False)))
    tables = (pd.DataFrame(training), pd.DataFrame(losses))
    return Results(
        arms, labels, sets, scores, *tables, tuple(seeds), params.statistics, carriers, groups
    )


def refuse_incomplete(experiments: Arms) -> None:
    """Raise ConfigError naming an arm without which tables and figures cannot be made.

    That is one that no experiment has, one of `FOLLOWED` that is not evaluated on its way, or one
    that selects from another share of the candidates than both methods do.
    """
    arms = by_key(experiments)
    for key in NAMED:
        if key not in arms:
            raise ConfigError(f"experiments: the tables need an arm '{key}'")
    for key in FOLLOWED:
        if not arms[key].trajectory:
            raise ConfigError(f"experiments: '{key}' is drawn on its way: give it a trajectory")
    shares = {key: arm.select.candidates for key, arm in arms.items() if arm.select}
    for key, share in shares.items():
        if share not in (shares[RESET], shares[RESET_S]):
            raise ConfigError(
                f"experiments: '{key}' selects from {share} of the candidates, so it is beside "
                f"neither ReSet ({shares[RESET]}) nor ReSet-S ({shares[RESET_S]}); give it one of "
                "these (null: all)"
            )


def read_trials(artifacts: Path) -> list[Row]:
    """Return the judged trials: right and wrong responses that the judges were measured on."""
    return read_rows(checked(artifacts / "validation") / "judged.jsonl")


def read_candidates(artifacts: Path, seed: int) -> tuple[list[Example], list[Row]]:
    """Return the prompts and the scored candidates that ReSet selected from for a seed."""
    folder = checked(artifacts / "scores")
    return (
        read_examples(folder / f"prompts-{seed}.jsonl"),
        read_rows(folder / f"scores-{seed}.jsonl"),
    )


def _history(runs: Mapping[int, Path], names: Row) -> tuple[list[Row], list[Row]]:
    """Return, of an arm's runs, a row each with its number of examples, and a row a logged step."""
    training, losses = [], []
    for seed, run in runs.items():
        history = read_json(run / "history.json")
        examples = len(read_rows(run / "train.jsonl")) - history["too_long"]
        facts = {"seed": seed, "examples": examples, "too_long": history["too_long"]}
        training.append({**names, **facts})
        losses += [{**names, "seed": seed, **row} for row in history["losses"]]
    return training, losses


def _label(arm: Arm, run: Path) -> str:
    if "{sets}" not in arm.label:
        return arm.label
    names = sorted({row["dataset"] for row in read_rows(run / "train.jsonl")})
    return arm.label.replace("{sets}", ", ".join(names))


def _scores(runs: Mapping[int, Path], sets: Mapping[str, list[Example]]) -> Any:
    """Return the judged responses of an arm, with points of training common to all seeds."""
    answers = {seed: _by_point(run / "evaluation.jsonl", sets) for seed, run in runs.items()}
    if len({len(found) for found in answers.values()}) > 1:
        counts = {seed: len(found) for seed, found in answers.items()}
        folder = next(iter(runs.values())).parent
        raise UnusableFile(
            f"{folder}: seeds evaluated at different numbers of points ({counts}); "
            "delete it and run `dvc repro`"
        )
    rows: list[Row] = []
    # Seeds may differ by a step or so; the n-th point of each is one point of the arm.
    for points in zip(*(found.items() for found in answers.values()), strict=True):
        progress = round(float(np.mean([share for share, _ in points])), 6)
        for seed, (_, found) in zip(answers, points, strict=True):
            rows += [_tidy(row, example, seed, progress) for row, example in found]
    return pd.DataFrame(rows)


def _by_point(
    path: Path, sets: Mapping[str, list[Example]]
) -> dict[float, list[tuple[Row, Example]]]:
    """Return share of training -> (row, example) in the order of the evaluation sets."""
    points: dict[float, dict[str, Row]] = {}
    for row in read_rows(path):
        points.setdefault(row["progress"], {})[row["example"]] = row
    examples = [example for found in sets.values() for example in found]
    for share, found in points.items():
        if set(found) != {example.id for example in examples}:
            raise UnusableFile(
                f"{path}: at progress {share} it answers other prompts than the evaluation sets "
                "have; delete its folder and run `dvc repro`"
            )
    return {share: [(points[share][e.id], e) for e in examples] for share in sorted(points)}


def _tidy(row: Row, example: Example, seed: int, progress: float) -> Row:
    scores = {**row["details"], **{name: row[name] for name in COLUMNS[:3]}}
    return {
        "seed": seed,
        "progress": progress,
        "dataset": example.dataset,
        "side": example.side,
        "kind": example.kind,
        "probe": example.probe,
        "example": example.id,
        "memory": example.memory,
        "response": row["response"],
        "ended": _number(None if example.raw else row["ended"]),
        **{name: _number(scores.get(name)) for name in COLUMNS},
    }


def _number(score: float | None) -> float:
    return float("nan") if score is None else float(score)


def most_dropped(estimates: Iterable[Estimate | None]) -> int:
    """Return the largest number of prompts that any of the estimates had to drop."""
    return max((found.dropped for found in estimates if found), default=0)
