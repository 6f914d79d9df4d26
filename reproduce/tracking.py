"""The runs of a study in MLflow, one per arm and seed, rebuilt from the results on every call.

The tag `cell`, "<arm>/seed-<seed>", leads from a table to its runs. Where there are no results,
runs come from paper/runs.jsonl, which holds all but the responses.
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from pydantic import TypeAdapter
from tqdm import tqdm

from reproduce.config import PRETRAINED
from reproduce.evaluation.formatting import visible
from reproduce.evaluation.results import OBJECTIVES, Results, load_results, seed_folders
from reproduce.evaluation.tables.samples import without_copies
from reproduce.reset.select import judgement_of
from reproduce.schema import Candidate, JudgedTrial, read_records
from reproduce.study import Study
from reproduce.utils.files import (
    UnusableFile,
    file_sha256,
    named,
    read_json,
    read_rows,
    short_hash,
    write_rows,
)
from reproduce.utils.stage_log import read_log
from reproduce.validation.auc import faithfulness_auc

SAMPLES, SAMPLES_PER_DATASET = "samples.json", 5
STAGES = {PRETRAINED: "pretrain", "judges": "judges"}
"""Runs that are no arm -> the stage that made them; next to these "score@ARM" of sampled arms."""


@dataclass(frozen=True)
class RunRecord:
    """What MLflow holds of a run.

    Attributes:
        arm: name of an arm, or of a run that is no arm.
        seed: None for the judges, and for a base model that all seeds share.
        metrics: name, value and optimiser step of every measurement.
        datasets: path below the profile's folder, and start of the SHA-256, of the files read.
        started: Unix time in seconds; None where it was not logged.
        samples: the first responses per data set, with their scores.
    """

    arm: str
    seed: int | None
    experiment: str
    parameters: dict[str, str]
    metrics: list[tuple[str, float, int]]
    datasets: list[tuple[str, str]] = field(default_factory=list)
    started: float | None = None
    seconds: float | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cell(self) -> str:
        """Return the name by which tables refer to the run."""
        return self.arm if self.seed is None else f"{self.arm}/seed-{self.seed}"


def track(study: Study) -> None:
    """Write the profile's mlflow.db anew, of its results, else of what is published of them.

    Raises UnusableFile if there are no runs.
    """
    arms = [name for name in study.arms if (study.artifacts / "results" / name).is_dir()]
    published = read_run_records(study.paper / "runs.jsonl")
    known = {*STAGES, *study.arms, *(f"score@{name}" for name in study.arms)}
    records = {cell: record for cell, record in published.items() if record.arm in known}
    records |= {record.cell: record for record in (run_records(study, arms) if arms else [])}
    if not records:
        raise UnusableFile(f"{study.artifacts / 'results'}: no results; run `dvc repro`")
    database, files = (study.folder.resolve() / name for name in ("mlflow.db", "mlartifacts"))
    database.unlink(missing_ok=True)
    shutil.rmtree(files, ignore_errors=True)
    log_runs(database, files, study.params.profile, records.values())
    print(f"{len(records)} runs in {database}")


def log_runs(database: Path, files: Path, profile: str, records: Iterable[RunRecord]) -> None:
    """Log runs to a new database, and their files to the folder `files`."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    client = MlflowClient(f"sqlite:///{database.as_posix()}")
    experiment = client.create_experiment(f"dancing-in-chains/{profile}", files.as_uri())
    for record in tqdm(list(records), "MLflow runs", disable=None):
        start = None if record.started is None else round(record.started * 1000)
        tags = {"profile": profile, "experiment": record.experiment, "arm": record.arm,
                "seed": str(record.seed), "cell": record.cell}  # fmt: skip
        if record.samples:
            # What `log_table` does, at a tenth of its time: this tag makes the file a table.
            tags["mlflow.loggedArtifacts"] = json.dumps([{"path": SAMPLES, "type": "table"}])
        run = client.create_run(experiment, start, tags, record.cell)
        run_id, end = run.info.run_id, run.info.start_time + round((record.seconds or 0) * 1000)
        parameters = [Param(*item) for item in record.parameters.items()]
        metrics = [Metric(name, value, end, step) for name, value, step in record.metrics]
        client.log_batch(run_id, metrics, parameters)
        client.log_inputs(run_id, [
            DatasetInput(
                Dataset(path, digest, "local", json.dumps({"uri": path})),
                [InputTag("mlflow.data.context",
                          "evaluation" if path.endswith("evaluation") else "training")],
            )
            for path, digest in record.datasets
        ])  # fmt: skip
        if record.samples:
            table = pd.DataFrame(record.samples).to_json(orient="split", index=False)
            client.log_text(run_id, table, SAMPLES)
        client.set_terminated(run_id, end_time=end)


def write_run_records(study: Study, target: Path) -> None:
    """Write the runs of all arms, without responses, one per line."""
    write_rows(target, [asdict(replace(record, samples=[])) for record in run_records(study)])


def read_run_records(source: Path) -> dict[str, RunRecord]:
    """Return cell -> run of a file of `write_run_records`; {} where there is none."""
    rows = read_rows(source) if source.is_file() else []
    with named(source):
        return {run.cell: run for run in TypeAdapter(list[RunRecord]).validate_python(rows)}


def run_records(study: Study, arms: Iterable[str] | None = None) -> list[RunRecord]:
    """Return the runs of all arms, or of some by name, and of the stages before them."""
    results = load_results(study, arms)
    evaluation = _dataset(study, "data/evaluation", "*.jsonl")
    samples, records = _samples(results), _stage_records(study)
    for name, arm in results.arms.items():
        scores = _mean_scores(results, name)
        for seed, folder in seed_folders(study, name).items():
            record = read_json(folder / "record.json")
            counts = {key: record[key] for key in ("examples", "too_long", "steps", "parameters")}
            parameters = flat({"arm": record["settings"], "training": record["training"], **counts})
            metrics = _losses(folder) + [
                (metric, value, round(train_fraction * record["steps"]))
                for metric, train_fraction, value in scores[seed]
            ]
            training = _dataset(study, f"models/{name}/seed-{seed}", "train.jsonl")
            records.append(RunRecord(
                name, seed, arm.experiment, parameters, metrics, training + evaluation,
                samples=samples[name, seed],
            ))  # fmt: skip
    times = {(line.stage, line.seed): line for line in read_log(study.folder)}
    published = read_run_records(study.paper / "runs.jsonl")
    for number, run in enumerate(records):
        time = times.get((STAGES.get(run.arm, run.arm), run.seed)) or published.get(run.cell)
        if time:
            records[number] = replace(run, started=time.started, seconds=time.seconds)
    return records


def _stage_records(study: Study) -> list[RunRecord]:
    """Return the runs in STAGES: losses of pretraining, AUCs of judges, scores of candidates."""
    params, artifacts, records = study.params.model_dump(mode="json"), study.artifacts, []
    texts = _dataset(study, "data/pretraining", "texts.jsonl")
    for folder in sorted((artifacts / "results" / PRETRAINED).glob("*")):
        seed = None if folder.name == "all-seeds" else int(folder.name.removeprefix("seed-"))
        settings = flat({"base": params["base"]})
        records.append(RunRecord(PRETRAINED, seed, "pipeline", settings, _losses(folder), texts))
    trials = artifacts / "judges" / "validation" / "trials.jsonl"
    if trials.is_file():
        aucs = faithfulness_auc(read_records(trials, JudgedTrial), study.params)
        metrics = [(f"auc/{name}", auc.mean, 0) for name, auc in aucs.items() if auc]
        settings = flat({key: params[key] for key in ("judging", "validation")})
        records.append(RunRecord("judges", None, "pipeline", settings, metrics))
    for path in sorted((artifacts / "scores").glob("*/seed-*/candidates.jsonl")):
        values: dict[str, list[float]] = defaultdict(list)
        for candidate in read_records(path, Candidate):
            for objective in OBJECTIVES:
                score = getattr(judgement_of(candidate), objective.name)
                if score is not None:
                    values[f"{objective.name}/{candidate.strategy}"].append(score)
        metrics = [(name, fmean(scores), 0) for name, scores in sorted(values.items())]
        seed = int(path.parent.name.removeprefix("seed-"))
        settings = flat({"candidates": params["candidates"]})
        arm = path.parents[1].name
        records.append(RunRecord(f"score@{arm}", seed, "pipeline", settings, metrics))
    return records


def _mean_scores(results: Results, arm: str) -> dict[int, list[tuple[str, float, float]]]:
    """Return seed -> "<objective>/<data set>" or "<objective>/mean", train_fraction, value."""
    scores: dict[int, list[tuple[str, float, float]]] = defaultdict(list)
    for objective in OBJECTIVES:
        groups: dict[str, list[str] | None] = {
            name: [name] for name, e in results.sets.items() if e[0].kind in objective.kinds
        }
        for train_fraction in results.train_fractions(arm):
            for name, datasets in (groups | {"mean": None}).items():
                means = results.seed_means(objective, arm, train_fraction, datasets)
                for seed, mean in means.items():
                    scores[seed].append((f"{objective.name}/{name}", train_fraction, mean))
    return scores


def _samples(results: Results) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return (arm, seed) -> responses to the first prompts, without other people's texts."""
    examples = {e.id: e for s in results.sets.values() for e in s[:SAMPLES_PER_DATASET]}
    final = results.scores[results.scores["train_fraction"] == 1.0]
    samples: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in final[final["example"].isin(examples)].to_dict("records"):
        example, response = examples[row["example"]], row["response"]
        texts = {"prompt": example.prompt, "reference": example.response, "response": response}
        if not results.study.own_texts:
            texts = {"response": without_copies(response, example)}
        texts = {name: visible(text) for name, text in texts.items()}
        scores = {objective.name: row[objective.name] for objective in OBJECTIVES}
        sample = {"dataset": example.dataset, "example": example.id, **texts, **scores}
        samples[row["arm"], row["seed"]].append(sample)
    return samples


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Return dotted name -> text of every setting in nested mappings that is not None."""
    if isinstance(value, Mapping):
        names = {key: f"{prefix}.{key}" if prefix else str(key) for key in value}
        return {k: v for key in value for k, v in flat(value[key], names[key]).items()}
    if value is None:
        return {}
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def _losses(results_dir: Path) -> list[tuple[str, float, int]]:
    history = results_dir / "history.json"  # An imported model has none.
    steps = read_json(history) if history.is_file() else []
    return [("loss", float(step["loss"]), int(step["step"])) for step in steps]


def _dataset(study: Study, folder: str, pattern: str) -> list[tuple[str, str]]:
    """Return a folder of artifacts, if it has such files, with a digest of these."""
    sums = [file_sha256(path) for path in sorted((study.artifacts / folder).glob(pattern))]
    return [(f"artifacts/{folder}", short_hash(*sums))] if sums else []
