"""The results of a study as tidy frames, and the estimates that tables are made of."""

import bz2
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from reproduce.config import PRETRAINED, Arms, training_for
from reproduce.intervals import Grid, Interval, mean_interval, share_interval
from reproduce.reset.select import FAITHFUL
from reproduce.schema import (
    Example,
    JudgedResponse,
    JudgedTrial,
    Judgement,
    Score,
    Sets,
    read_records,
    read_sets,
)
from reproduce.study import Study
from reproduce.utils.files import UnusableFile, named, read_json
from reproduce.validation.auc import valid_datasets

BASE = "base"
"""The arm that evaluates the pretrained model without training."""
TRAINING_CURVE_ARMS = ("IF", "CD", "CD-IF", "IF-CD")
MTL, MTL_AGAIN, RESET, RESET_S = "MTL", "MTL-again", "ReSet", "ReSet-S"
MAIN_ARMS = (BASE, *TRAINING_CURVE_ARMS, MTL, MTL_AGAIN, RESET, RESET_S)
"""The arms that the tables and figures name; without all of these only scores are tabulated."""


@dataclass(frozen=True)
class Metric:
    """A score column, macro-averaged over the data sets with some kinds of prompt.

    The kind of a data set whose prompts have a context and instructions is "joint".
    """

    name: str
    title: str
    kinds: tuple[str, ...]

    def counts(self, example: Example) -> bool:
        """Return whether the metric averages over data sets of such examples; not of probes."""
        kind = "joint" if example.is_joint else example.kind
        return kind in self.kinds and not example.is_probe


METRICS = {
    metric.name: metric
    for metric in (
        Metric("instruction", "IF", ("instruction",)),
        Metric("faithfulness", "Faithfulness", ("extractive", "abstractive")),
        Metric("task", "Task", ("extractive", "abstractive")),
        Metric("prompt_strict", "IF, prompt level", ("instruction",)),
        Metric("instruction_loose", "IF, loose", ("instruction",)),
        Metric("prompt_loose", "IF, prompt, loose", ("instruction",)),
        Metric("coverage", "Coverage", ("extractive",)),
        Metric("k_precision", "K-precision", ("abstractive",)),
        Metric("exact_match", "EM", ("extractive",)),
        Metric("token_f1", "F1", ("extractive",)),
        Metric("rouge_l", "ROUGE-L", ("abstractive",)),
        Metric("states_answer", "States the answer", ("extractive",)),
        Metric("faithful_answer", "Faithful and answers", ("extractive",)),
        Metric("joint_success", "Both at once", ("joint",)),
    )
}
OBJECTIVES = tuple(METRICS[name] for name in ("instruction", "faithfulness", "task"))
INSTRUCTION, FAITHFULNESS, TASK = OBJECTIVES
FAITHFUL_ANSWER, JOINT_SUCCESS = METRICS["faithful_answer"], METRICS["joint_success"]
BOTH = Metric("both", "Mean of IF and faithfulness", ())
BOTH_ANSWER = Metric("both_answer", "Mean of IF and faithful and answers", ())
MEANS = {BOTH: (INSTRUCTION, FAITHFULNESS), BOTH_ANSWER: (INSTRUCTION, FAITHFUL_ANSWER)}
"""Means of two objectives, each a macro average over its own data sets."""
COLUMNS = (*METRICS, "instruction_strict", "entailed", "empty", "rating", "unrated")
"""Scores that `Results.scores` always has, NaN where no judge gives them."""
TRAINING_COLUMNS = (
    "arm", "seed", "examples", "too_long", "steps", "summed_learning_rate", "distance"
)  # fmt: skip
PACKED = "evaluation.jsonl.bz2"
"""The judged responses of a published seed: a twentieth of their size."""
LOSS_COLUMNS = ("experiment", "arm", "label", "seed", "step", "loss", "learning_rate")


@dataclass(frozen=True)
class Estimate:
    """An interval, the number of prompts dropped for want of a score, and if it is a difference."""

    interval: Interval
    dropped: int = 0
    difference: bool = False


@dataclass(frozen=True)
class Results:
    """The results of some arms of a study, for every seed.

    Attributes:
        arms: name -> arm, in the order of experiments.yaml.
        labels: name -> label, with the names of its data sets filled in.
        sets: data set -> evaluation examples, probes included.
        trials: the judged trials that validate the judges.
        trivial: judged responses that need no model, one row each; columns variant, dataset and
            COLUMNS.
        faithfulness_metrics: data set -> metric of its faithfulness, where it may be used for
            claims.
        scores: one row per judged response, in the order of arms, points of training, seeds and
            prompts; columns experiment, arm, label, seed, train_fraction, dataset, side, kind,
            is_probe, example, response, finished (NaN for a continuation of plain text, which
            has no end), COLUMNS and all other details of the judgement.
        training: one row per trained arm and seed; columns TRAINING_COLUMNS.
        losses: one row per logged step; columns experiment, arm, label, seed, step, loss,
            learning_rate.
        parameters: number of weights of the model.
        frames: (arm, train_fraction, data set) -> its rows of `scores`.
    """

    study: Study
    arms: Arms
    labels: Mapping[str, str]
    sets: Sets
    trials: Sequence[JudgedTrial]
    trivial: pd.DataFrame
    faithfulness_metrics: Mapping[str, str]
    seeds: tuple[int, ...]
    scores: pd.DataFrame
    training: pd.DataFrame
    losses: pd.DataFrame
    parameters: int
    frames: Mapping[tuple[str, float, str], pd.DataFrame]

    @property
    def confidence(self) -> float:
        """Return the confidence level of every interval."""
        return self.study.params.statistics.confidence

    @property
    def has_ratings(self) -> bool:
        """Return whether an LLM judge rates instruction following."""
        return bool(self.scores["unrated"].notna().any())

    def names(self, arm: str) -> dict[str, str]:
        """Return what identifies an arm in a table: experiment, arm and label."""
        return {"experiment": self.arms[arm].experiment, "arm": arm, "label": self.labels[arm]}

    @property
    def main_arms(self) -> list[str]:
        """Return the MAIN_ARMS that the study has."""
        return [name for name in MAIN_ARMS if name in self.arms]

    def arms_of(self, experiment: str) -> list[str]:
        """Return the names of the arms of an experiment."""
        return [name for name, arm in self.arms.items() if arm.experiment == experiment]

    def start_arm(self, arm: str) -> str | None:
        """Return the arm with the scores that training starts from; None if it trains nothing."""
        if not self.arms[arm].has_model:
            return None
        return BASE if self.arms[arm].start == PRETRAINED else self.arms[arm].start

    def probes(self) -> list[str]:
        """Return the names of the data sets that count in no objective."""
        return [name for name, examples in self.sets.items() if examples[0].is_probe]

    def datasets(self, metric: Metric) -> list[str]:
        """Return the names of the data sets that a metric averages over, without probes."""
        if metric in MEANS:
            return [name for part in MEANS[metric] for name in self.datasets(part)]
        judged = metric in (FAITHFULNESS, FAITHFUL_ANSWER, JOINT_SUCCESS)
        allowed = self.faithfulness_metrics if judged else self.sets
        return [
            name
            for name, examples in self.sets.items()
            if metric.counts(examples[0]) and name in allowed
        ]

    def train_fractions(self, arm: str) -> list[float]:
        """Return the fractions of an arm's training at which it was evaluated, 1.0 last."""
        return sorted({fraction for name, fraction, _ in self.frames if name == arm})

    def frame(self, arm: str, dataset: str, train_fraction: float = 1.0) -> pd.DataFrame:
        """Return the scores of an arm on a data set, ordered by seed, then by prompt."""
        return self.frames[arm, train_fraction, dataset]

    def grid(self, arm: str, dataset: str, column: str, train_fraction: float = 1.0) -> Grid:
        """Return a score as (seeds, prompts); NaN where the judge gave none."""
        values = self.frame(arm, dataset, train_fraction)[column].to_numpy(dtype=float)
        return np.asarray(values).reshape(len(self.seeds), -1)

    def mean_of(self, arm: str, column: str) -> float | None:
        """Return a column of `training` of an arm, a mean over seeds; None if it is untrained."""
        runs = self.training[self.training["arm"] == arm]
        return float(runs[column].mean()) if len(runs) else None

    def total_steps(self, arm: str) -> float | None:
        """Return the optimiser steps from the pretrained model to an arm.

        None if there are no results of an arm on the way.
        """
        if arm not in self.arms:
            return None
        start = self.arms[arm].start
        before = 0.0 if start == PRETRAINED else self.total_steps(start)
        return None if before is None else before + (self.mean_of(arm, "steps") or 0.0)

    def flaws(self, arm: str) -> float:
        """Return the share of flawed responses in the first training on the way to an arm."""
        while (start := self.arms[arm].start) != PRETRAINED:
            arm = start
        return training_for(self.study.params, self.arms[arm]).flaws

    def trivial_score(self, metric: Metric, variant: str) -> float | None:
        """Return a metric of a trivial response, a mean over data sets; None without a score."""
        rows = self.trivial[self.trivial["variant"] == variant]
        means = [
            rows.loc[rows["dataset"] == name, metric.name].mean(skipna=False)
            for name in self.datasets(metric)
        ]
        return float(np.mean(means)) if means and not np.isnan(means).any() else None

    def estimate(
        self,
        metric: Metric,
        arm: str,
        against: str | None = None,
        train_fraction: float = 1.0,
        datasets: Sequence[str] | None = None,
    ) -> Estimate | None:
        """Return a metric of an arm, or its paired difference to the arm `against`.

        A prompt counts if it has a score for all seeds (of both arms). None where there is no
        data set, or one has no such prompt.
        """
        names = self.datasets(metric) if datasets is None else datasets
        grids = [self._paired(metric, arm, against, train_fraction, name) for name in names]
        complete = [complete_prompts(grid) for grid in grids]
        if not complete or any(grid.size == 0 for grid in complete):
            return None
        dropped = sum(a.shape[1] - b.shape[1] for a, b in zip(grids, complete, strict=True))
        interval = mean_interval(complete, self.confidence)
        if against is None:  # Scores are from 0 to 1; an interval of few seeds may reach further.
            interval = replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))
        return Estimate(interval, dropped, against is not None)

    def seed_means(
        self,
        metric: Metric,
        arm: str,
        train_fraction: float = 1.0,
        datasets: Sequence[str] | None = None,
    ) -> dict[int, float]:
        """Return seed -> a metric of an arm, of the prompts and data sets of `estimate`; or {}."""
        names = self.datasets(metric) if datasets is None else datasets
        grids = [
            complete_prompts(self.grid(arm, name, metric.name, train_fraction)) for name in names
        ]
        if not grids or any(grid.size == 0 for grid in grids):
            return {}
        means = np.mean([grid.mean(axis=1) for grid in grids], axis=0)
        return dict(zip(self.seeds, map(float, means), strict=True))

    def _paired(
        self, metric: Metric, arm: str, against: str | None, train_fraction: float, dataset: str
    ) -> Grid:
        column, scale = metric.name, 1.0
        if metric in MEANS:
            # A mean over all data sets, weighted so that each objective has half the weight.
            objective = next(part for part in MEANS[metric] if dataset in self.datasets(part))
            column = objective.name
            scale = len(self.datasets(metric)) / (2 * len(self.datasets(objective)))
        grid = self.grid(arm, dataset, column, train_fraction)
        if against is not None:
            grid = grid - self.grid(against, dataset, column)
        return grid * scale

    def mean(self, grid: Grid) -> Estimate:
        """Return the mean over seeds and prompts of a grid without gaps, of shares from 0 to 1."""
        return Estimate(share_interval([grid], [np.ones_like(grid)], self.confidence))

    def ratio(self, hits: Sequence[Grid], cases: Sequence[Grid]) -> Estimate | None:
        """Return the share of cases that are hits, over all grids; None where there is no case."""
        if not any(grid.sum() for grid in cases):
            return None
        return Estimate(share_interval(hits, cases, self.confidence))


def complete_prompts(grid: Grid) -> Grid:
    """Return the columns (prompts) of a grid that have a score for every seed."""
    return grid[:, ~np.isnan(grid).any(axis=0)]


def load_results(study: Study, names: Iterable[str] | None = None) -> Results:
    """Return the results of all arms, or of some by name, for every seed that is there.

    Raises UnusableFile where an arm has no results or other seeds than the rest, its seeds have
    unequal settings, or its responses are not to the evaluation prompts.
    """
    chosen = set(study.arms if names is None else names)
    arms = {name: arm for name, arm in study.arms.items() if name in chosen}
    sets = read_sets(study.artifacts / "data" / "evaluation")
    validation = study.artifacts / "judges" / "validation"
    trials = read_records(validation / "trials.jsonl", JudgedTrial)
    metric_of_kind = study.params.judging.faithfulness_metric
    valid = valid_datasets(trials, study.params)
    metrics = {name: metric_of_kind[sets[name][0].kind] for name in sets if name in valid}
    folders = {name: seed_folders(study, name) for name in arms}
    seeds = tuple(next(iter(folders.values())))
    for name, by_seed in folders.items():
        if not by_seed:
            path = study.artifacts / "results" / name
            raise UnusableFile(f"{path}: missing; run `dvc repro arm@{name}`")
        if tuple(by_seed) != seeds:
            raise UnusableFile(f"results/{name}: has seeds {[*by_seed]}, other arms {[*seeds]}")
    prompts = pd.DataFrame(
        {"example": e.id, "dataset": e.dataset, "side": e.side, "kind": e.kind,
         "is_probe": e.is_probe, "is_joint": e.is_joint, "is_completion": e.is_completion}
        for examples in sets.values() for e in examples
    ).reset_index(names="position")  # fmt: skip
    trivial = pd.DataFrame(
        [
            {"example": t.example, "variant": t.variant, **_scores_of(t.judgement)}
            for t in read_records(validation / "trivial.jsonl", JudgedTrial)
        ],
        columns=["example", "variant", *COLUMNS],
    ).merge(prompts, on="example")
    labels = {name: study.labels[name] for name in arms}
    scores, training, losses = [], [], []
    for name, arm in arms.items():
        records = {seed: read_json(path / "record.json") for seed, path in folders[name].items()}
        first = records[seeds[0]]
        identity = {"experiment": arm.experiment, "arm": name, "label": labels[name]}
        scores.append(_read_scores(folders[name], prompts).assign(**identity))
        for seed, path in folders[name].items():
            record = records[seed]
            if changed := [k for k in ("settings", "training") if record[k] != first[k]]:
                raise UnusableFile(
                    f"{path}/record.json: other {changed[0]} than {folders[name][seeds[0]]}; "
                    "remove the outdated one of the two"
                )
            if arm.trains:
                training.append({"seed": seed, **record})
                steps = read_json(path / "history.json")
                losses += [{**identity, "seed": seed, **step} for step in steps]
    frame = pd.concat(scores, ignore_index=True)
    return Results(
        study, arms, labels, sets, trials, _with_columns(trivial), metrics, seeds, frame,
        training=pd.DataFrame(training, columns=TRAINING_COLUMNS),
        losses=pd.DataFrame(losses, columns=LOSS_COLUMNS),
        parameters=first["parameters"],
        frames=dict(list(frame.groupby(["arm", "train_fraction", "dataset"], sort=False))),
    )  # fmt: skip


def seed_folders(study: Study, arm: str) -> dict[int, Path]:
    """Return seed -> folder of an arm's results; a local one comes before a published one."""
    folders: dict[int, Path] = {}
    for root in (study.paper, study.artifacts):
        for record in (root / "results" / arm).glob("seed-*/record.json"):
            folders[int(record.parent.name.removeprefix("seed-"))] = record.parent
    return dict(sorted(folders.items()))


def read_responses(folder: Path) -> list[JudgedResponse]:
    """Return the judged responses of a seed; those of a published seed are compressed."""
    packed = folder / PACKED
    if not packed.is_file():
        return read_records(folder / "evaluation.jsonl", JudgedResponse)
    with tempfile.TemporaryDirectory() as scratch, named(packed):
        plain = Path(scratch) / "evaluation.jsonl"
        plain.write_bytes(bz2.decompress(packed.read_bytes()))
        return read_records(plain, JudgedResponse)


def _read_scores(folders: Mapping[int, Path], prompts: pd.DataFrame) -> pd.DataFrame:
    """Return the judged responses of an arm, with points of training common to all seeds."""
    ids = sorted(prompts["example"])
    runs = []
    for seed, folder in folders.items():
        responses = read_responses(folder)
        by_fraction: dict[float, list[str]] = {}
        for response in responses:
            by_fraction.setdefault(response.train_fraction, []).append(response.example)
        if not responses or any(sorted(answered) != ids for answered in by_fraction.values()):
            raise UnusableFile(
                f"{folder}/evaluation.jsonl: has other prompts than data/evaluation; delete its "
                "folder and run `dvc repro`"
            )
        run = pd.DataFrame(
            {
                "example": r.example, "train_fraction": r.train_fraction, "response": r.response,
                "finished": r.finished, **_scores_of(r.judgement),
            }
            for r in responses
        )  # fmt: skip
        # Seeds may differ by a step or so: the n-th evaluation of each is one point of the arm.
        runs.append(run.assign(seed=seed, point=run["train_fraction"].rank(method="dense")))
        if runs[-1]["point"].max() != runs[0]["point"].max():
            raise UnusableFile(f"{folder}: other number of evaluations than the other seeds")
    scores = pd.concat(runs).merge(prompts, on="example")
    scores = scores.sort_values(["point", "seed", "position"], ignore_index=True)
    fractions = scores.groupby("point")["train_fraction"].transform("mean").round(6)
    finished = scores["finished"].where(~scores["is_completion"])
    return _with_columns(scores.assign(train_fraction=fractions, finished=finished.astype(float)))


def _scores_of(judgement: Judgement) -> dict[str, Score]:
    names = ("task", "faithfulness", "instruction")
    return {**{name: getattr(judgement, name) for name in names}, **judgement.details}


def _with_columns(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with all COLUMNS, also those that follow from several others."""
    missing = [name for name in COLUMNS if name not in scores]
    scores = scores.assign(**dict.fromkeys(missing, np.nan))
    faithful = scores["faithfulness"] > FAITHFUL
    answers = faithful & (scores["states_answer"] == 1)
    succeeds = faithful & (scores["prompt_strict"] == 1)
    scores["faithful_answer"] = answers.where(scores["states_answer"].notna())
    scores["joint_success"] = succeeds.where(scores["is_joint"] & scores["prompt_strict"].notna())
    return scores.astype(dict.fromkeys(COLUMNS, float))
