"""The runs of a study in MLflow, one per arm and seed, rebuilt from the results on every call.

The tag `cell`, "<arm>/seed-<seed>", leads from a table to its runs. Where there are no results,
runs come from paper/runs.jsonl, which holds all but the responses.
"""

import json
import os
import re
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from reproduce.config import PRETRAINED
from reproduce.evaluation.results import FAITHFULNESS, OBJECTIVES, seed_folders
from reproduce.evaluation.tables.samples import without_copies
from reproduce.reset.select import judgement_of
from reproduce.schema import Sets, read_candidates, read_judged, read_sets, read_trials
from reproduce.study import Study
from reproduce.utils.files import (
    UnusableFile,
    atomic_path,
    file_sha256,
    read_json,
    read_rows,
    short_hash,
    write_rows,
)
from reproduce.utils.formatting import visible
from reproduce.utils.stage_log import read_log
from reproduce.validation.validate import faithfulness_auc, valid_datasets

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
    """Replace a profile's runs in MLflow by its results, else by what is published of them.

    The database is mlflow.db in the profile's folder, or where MLFLOW_TRACKING_URI says. Raises
    UnusableFile if there are no runs, ConnectionError if MLflow fails.
    """
    arms = [name for name in study.arms if (study.artifacts / "results" / name).is_dir()]
    published = read_run_records(study.paper / "runs.jsonl")
    known = {*STAGES, *study.arms, *(f"score@{name}" for name in study.arms)}
    records = {cell: record for cell, record in published.items() if record.arm in known}
    records |= {record.cell: record for record in (run_records(study, arms) if arms else [])}
    if not records:
        raise UnusableFile(f"{study.artifacts / 'results'}: no results; run `dvc repro`")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    # MLflow would print the address of every run, with the password in it.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    uri = tracking_uri(study.folder)
    try:
        if "MLFLOW_TRACKING_URI" in os.environ:
            log_runs(MlflowClient(uri), study.params.profile, records.values())
        else:
            files = study.folder.resolve() / "mlartifacts"
            outdated = list(files.glob("*"))
            with atomic_path(study.folder / "mlflow.db") as draft:
                # A new name, as MLflow keeps connections to files of a name that it knows.
                database = draft.resolve().with_name(f"{uuid.uuid4().hex}.db")
                client = MlflowClient(f"sqlite:///{database.as_posix()}")
                log_runs(client, study.params.profile, records.values(), files.as_uri())
                database.rename(draft)
            for folder in outdated:
                shutil.rmtree(folder)
    except (MlflowException, SQLAlchemyError) as error:
        # Not `from error`, which may hold the password.
        raise ConnectionError(redact(f"MLflow at {uri}: {error}")) from None
    print(f"{len(records)} runs in MLflow at {redact(uri)}")


def tracking_uri(folder: Path) -> str:
    """Return the address of the MLflow store of the profile in `folder`."""
    database = (folder / "mlflow.db").resolve().as_posix()
    return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{database}")


def redact(text: str) -> str:
    """Return `text` without the login and the query of every address in it."""
    return re.sub(r"(?<=://)[^/\s]*@|\?\S*", "", text)


def log_runs(
    client: "MlflowClient", profile: str, records: Iterable[RunRecord], files: str | None = None
) -> None:
    """Log runs to the profile's MLflow experiment, then delete those of earlier calls.

    `files` is the address of their files; by default the server decides.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    name = f"dancing-in-chains/{profile}"
    experiment = client.get_experiment_by_name(name)
    experiment_id = (
        experiment.experiment_id if experiment else client.create_experiment(name, files)
    )
    outdated = client.search_runs([experiment_id], f"tags.profile = '{profile}'", max_results=10000)
    for record in tqdm(list(records), "MLflow runs", disable=None):
        start = None if record.started is None else round(record.started * 1000)
        tags = {"profile": profile, "experiment": record.experiment, "arm": record.arm,
                "seed": str(record.seed), "cell": record.cell}  # fmt: skip
        if record.samples:
            # What `log_table` does, at a tenth of its time: this tag makes the file a table.
            tags["mlflow.loggedArtifacts"] = json.dumps([{"path": SAMPLES, "type": "table"}])
        run = client.create_run(experiment_id, start, tags, record.cell)
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
    for run in outdated:
        client.delete_run(run.info.run_id)


def write_run_records(study: Study, target: Path) -> None:
    """Write the runs of all arms, without responses, one per line."""
    rows = [asdict(replace(record, samples=[])) for record in run_records(study)]
    write_rows(target, rows)


def read_run_records(source: Path) -> dict[str, RunRecord]:
    """Return cell -> run of a file of `write_run_records`; {} where there is none."""
    rows = read_rows(source) if source.is_file() else []
    try:
        pairs = ("metrics", "datasets")
        records = [RunRecord(**row | {k: list(map(tuple, row[k])) for k in pairs}) for row in rows]
    except (TypeError, KeyError) as error:
        raise UnusableFile(f"{source}: {error}; `reproduce publish` writes it again") from error
    return {record.cell: record for record in records}


def run_records(study: Study, arms: Iterable[str] | None = None) -> list[RunRecord]:
    """Return the runs of all arms, or of some by name, and of the stages before them."""
    sets = read_sets(study.artifacts / "data" / "evaluation")
    evaluation = _dataset(study, "data/evaluation", "*.jsonl")
    folders = {name: seed_folders(study, name) for name in arms or study.arms}
    if missing := [name for name, by_seed in folders.items() if not by_seed]:
        raise UnusableFile(f"artifacts/results: has no {', '.join(missing)}; run `dvc repro`")
    judged = _judged(folders)
    scores, samples = _mean_scores(study, sets, judged), _samples(study, sets, judged)
    records = _stage_records(study)
    for name, by_seed in folders.items():
        for seed, folder in by_seed.items():
            record = read_json(folder / "record.json")
            counts = {key: record[key] for key in ("examples", "too_long", "steps", "parameters")}
            parameters = flat({"arm": record["settings"], "training": record["training"], **counts})
            metrics = _losses(folder) + [
                (metric, value, round(train_fraction * record["steps"]))
                for metric, train_fraction, value in scores[name, seed]
            ]
            training = _dataset(study, f"models/{name}/seed-{seed}", "train.jsonl")
            experiment = study.arms[name].experiment
            datasets, shown = training + evaluation, samples[name, seed]
            run = RunRecord(name, seed, experiment, parameters, metrics, datasets, samples=shown)
            records.append(run)
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
        aucs = faithfulness_auc(read_trials(trials), study.params)
        metrics = [(f"auc/{name}", auc.mean, 0) for name, auc in aucs.items() if auc]
        settings = flat({key: params[key] for key in ("judging", "validation")})
        records.append(RunRecord("judges", None, "pipeline", settings, metrics))
    for path in sorted((artifacts / "scores").glob("*/seed-*/candidates.jsonl")):
        values: dict[str, list[float]] = defaultdict(list)
        for candidate in read_candidates(path):
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


def _judged(folders: Mapping[str, Mapping[int, Path]]) -> pd.DataFrame:
    """Return one row per judged response of some arms; `point` counts the evaluations of a run."""
    rows = [
        (arm, seed, r.train_fraction, r.dataset, r.example, r.response,
         *(getattr(r.judgement, objective.name) for objective in OBJECTIVES))
        for arm, by_seed in folders.items()
        for seed, folder in by_seed.items()
        for r in read_judged(folder / "evaluation.jsonl")
    ]  # fmt: skip
    names = ["arm", "seed", "train_fraction", "dataset", "example", "response"]
    frame = pd.DataFrame(rows, columns=[*names, *(objective.name for objective in OBJECTIVES)])
    point = frame.groupby(["arm", "seed"])["train_fraction"].rank("dense")
    return frame.assign(point=point)


def _mean_scores(
    study: Study, sets: Sets, judged: pd.DataFrame
) -> dict[tuple[str, int], list[tuple[str, float, float]]]:
    """Return (arm, seed) -> "<objective>/<data set>" or "<objective>/mean", train_fraction, value.

    As in the tables, a prompt counts if it has a score for all seeds, and the mean is over the
    data sets that count in the objective; there is none where one of them has no score.
    """
    trials = read_trials(study.artifacts / "judges" / "validation" / "trials.jsonl")
    valid = valid_datasets(trials, study.params)
    scores: dict[tuple[str, int], list[tuple[str, float, float]]] = defaultdict(list)
    for objective in OBJECTIVES:
        applicable = [n for n, examples in sets.items() if examples[0].kind in objective.kinds]
        rows = judged[judged["dataset"].isin(applicable)]
        prompt = [rows[key] for key in ("arm", "point", "example")]
        complete = rows[rows[objective.name].notna().groupby(prompt).transform("all")]
        groups = complete.groupby(["arm", "seed", "train_fraction", "dataset"])
        means = groups[objective.name].mean().unstack("dataset")
        counted = [
            name for name in applicable
            if objective.counts(sets[name][0]) and (objective is not FAITHFULNESS or name in valid)
        ]  # fmt: skip
        if set(counted) <= set(means.columns):
            means["mean"] = means[counted].mean(axis=1, skipna=False)
        for (arm, seed, train_fraction, name), value in means.stack().dropna().items():
            scores[arm, seed].append((f"{objective.name}/{name}", train_fraction, float(value)))
    return scores


def _samples(
    study: Study, sets: Sets, judged: pd.DataFrame
) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return (arm, seed) -> responses to the first prompts, without other people's texts."""
    examples = {e.id: e for s in sets.values() for e in s[:SAMPLES_PER_DATASET]}
    final = judged[(judged["train_fraction"] == 1.0) & judged["example"].isin(examples)]
    samples: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in final.to_dict("records"):
        example, response = examples[row["example"]], row["response"]
        texts = {"prompt": example.prompt, "reference": example.response, "response": response}
        if study.params.data.world is None:
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
