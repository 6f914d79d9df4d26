"""The runs of a small study in MLflow, and that a number of a table leads to them."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from mlflow import MlflowClient

from reproduce.config import training_for
from reproduce.evaluation.results import FAITHFULNESS, load_results
from reproduce.schema import (
    Candidate,
    Example,
    JudgedResponse,
    JudgedTrial,
    Judgement,
    read_records,
    write_records,
)
from reproduce.study import Study, load_study
from reproduce.tracking import (
    SAMPLES_PER_DATASET,
    read_run_records,
    run_records,
    track,
    write_run_records,
)
from reproduce.utils.files import UnusableFile, read_csv, write_json
from reproduce.utils.stage_log import log_run, read_log

ROOT = Path(__file__).parents[1]
KINDS = {"answers": "extractive", "orders": "instruction", "probe": "extractive"}
ARMS = ("base", "CD", "MTL")
CELL = "CD/seed-1"
CONTEXT = " ".join(f"word{n}" for n in range(40))
RESPONSE = f"Indeed {CONTEXT}"
EXAMPLES = [
    Example(name, kind, f"{name} {n}?", "yes", CONTEXT, ("yes",), is_probe=name == "probe")  # type: ignore[arg-type]
    for name, kind in KINDS.items()
    for n in range(SAMPLES_PER_DATASET + 2)
]


def judgement(dataset: str, fraction: float) -> Judgement:
    task, faithfulness, instruction = {
        "answers": (0.5 * fraction, 0.75, None),
        "orders": (None, None, 0.25),
        "probe": (0.0, 1.0, None),
    }[dataset]
    return Judgement(task, faithfulness, instruction)


def write_arm(study: Study, name: str, seed: int) -> None:
    arm, folder = study.arms[name], study.results_dir(name, seed)
    write_records(folder / "evaluation.jsonl", [
        JudgedResponse(e.dataset, e.id, RESPONSE, True, judgement(e.dataset, fraction), fraction)
        for fraction in ((0.5, 1.0) if arm.num_intermediate_evals else (1.0,))
        for e in EXAMPLES
    ])  # fmt: skip
    losses = [{"step": n, "loss": 1 / n, "learning_rate": 0.1} for n in range(1, 41)]
    write_json(folder / "history.json", losses if arm.trains else [])
    write_json(folder / "record.json", {
        "arm": name, "seed": seed, "settings": arm.model_dump(mode="json"),
        "training": training_for(study.params, arm).model_dump(mode="json"),
        "examples": 7, "too_long": 2, "steps": 40, "datasets": ["answers"], "parameters": 99,
    })  # fmt: skip
    if arm.trains:
        write_records(study.model_dir(name, seed) / "train.jsonl", EXAMPLES[:7])


def small_study(folder: Path) -> Study:
    """Return three arms of the default profile, whose results are in `folder`."""
    whole = load_study(ROOT)
    params = whole.params.model_copy(update={"seeds": [0, 1]})
    arms = {name: whole.arms[name] for name in ARMS}
    study = replace(whole, params=params, arms=arms, folder=folder)
    for name in KINDS:
        path = study.artifacts / "data" / "evaluation" / f"{name}.jsonl"
        write_records(path, [e for e in EXAMPLES if e.dataset == name])
    right, wrong = (Judgement(0, 0, None, {"entailed": score}) for score in (1.0, 0.0))
    write_records(study.artifacts / "judges" / "validation" / "trivial.jsonl", [])
    write_records(study.artifacts / "judges" / "validation" / "trials.jsonl", [
        JudgedTrial("answers", "extractive", f"{n}", variant, "", given)
        for n in range(30)
        for variant, given in (("right", right), ("same passage", wrong))
    ])  # fmt: skip
    for seed in (0, 1):
        with log_run("pretrain", seed, folder):
            write_json(study.results_dir("pretrained", seed) / "record.json", {"parameters": 99})
        for name in ARMS:
            with log_run(name, seed, folder):
                write_arm(study, name, seed)
        path = study.artifacts / "scores" / "MTL" / f"seed-{seed}" / "candidates.jsonl"
        with log_run("score@MTL", seed, folder):
            write_records(path, [
                Candidate("orders", f"{n}", "cold", 0, "", True, Judgement(None, None, n / 2))
                for n in range(3)
            ])  # fmt: skip
    return study


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return the study with its database, which tests must not change."""
    study = small_study(tmp_path_factory.mktemp("tracked"))
    track(study)
    return study


def client_of(study: Study) -> MlflowClient:
    return MlflowClient(f"sqlite:///{study.folder.resolve()}/mlflow.db")


def runs(study: Study, where: str = "") -> list[Any]:
    client = client_of(study)
    experiment = client.get_experiment_by_name("dancing-in-chains/tiny")
    return list(client.search_runs([experiment.experiment_id], where))


def the_run(study: Study, cell: str) -> Any:
    (run,) = runs(study, f"tags.cell = '{cell}'")
    return run


def test_a_filter_leads_from_a_cell_to_its_run(tracked: Study) -> None:
    run = the_run(tracked, CELL)
    assert {name: run.data.tags[name] for name in ("arm", "seed", "profile", "experiment")} == {
        "arm": "CD", "seed": "1", "profile": "tiny", "experiment": "two-stage",
    }  # fmt: skip
    assert run.info.status == "FINISHED"
    (line,) = [line for line in read_log(tracked.folder) if (line.stage, line.seed) == ("CD", 1)]
    assert run.info.start_time == round(line.started * 1000)
    assert run.info.end_time - run.info.start_time == round(line.seconds * 1000)
    assert len(runs(tracked)) == 2 * (len(ARMS) + 2) + 1


def test_a_run_holds_settings_scores_and_losses(tracked: Study) -> None:
    client, run = client_of(tracked), the_run(tracked, CELL)
    scores = run.data.metrics
    assert scores["faithfulness/mean"] == scores["faithfulness/answers"] == 0.75
    assert scores["faithfulness/probe"] == 1.0
    assert scores["instruction/mean"] == 0.25
    assert "task/orders" not in scores

    def history(name: str) -> list[tuple[int, float]]:
        return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]

    assert history("task/mean") == [(20, 0.25), (40, 0.5)]
    assert history("loss") == [(n, pytest.approx(1 / n)) for n in range(1, 41)]
    assert run.data.params["arm.mixture.CD"] == "0.25"
    assert float(run.data.params["training.learning_rate"]) == 1e-3
    assert run.data.params["parameters"] == "99"


def test_a_run_names_the_data_that_it_read(tracked: Study) -> None:
    inputs = the_run(tracked, CELL).inputs.dataset_inputs
    names = {i.dataset.name: (i.dataset.digest, i.tags[0].value) for i in inputs}
    digest, use = names["artifacts/models/CD/seed-1"]
    assert set(names) == {"artifacts/models/CD/seed-1", "artifacts/data/evaluation"}
    assert use == "training" and names["artifacts/data/evaluation"][1] == "evaluation"
    # Both seeds have the same examples here, so the same digest.
    assert ("artifacts/models/CD/seed-0", digest) in run_records(tracked, ["CD"])[-2].datasets


def test_a_run_shows_the_first_responses(tracked: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracked.folder.resolve()}/mlflow.db")
    client, info = client_of(tracked), the_run(tracked, CELL).info
    table = client.load_table(info.experiment_id, "samples.json", [info.run_id])
    assert len(table) == SAMPLES_PER_DATASET * len(KINDS)
    first = table.to_dict("records")[0]
    assert (first["prompt"], first["response"]) == ("answers 0?", RESPONSE)
    assert first["faithfulness"] == 0.75


def test_texts_of_others_are_left_out(tracked: Study) -> None:
    real = tracked.params.data.model_copy(update={"world": None})
    study = replace(tracked, params=tracked.params.model_copy(update={"data": real}))
    samples = run_records(study, ["CD"])[-1].samples
    assert samples and not any({"prompt", "reference"} & set(row) for row in samples)
    assert all(row["response"].startswith("Indeed") for row in samples)
    assert not any("word7 word8" in row["response"] for row in samples)


def test_stages_that_are_no_arm_have_runs(tracked: Study) -> None:
    assert the_run(tracked, "judges").data.metrics == {"auc/answers": 1.0}
    score = the_run(tracked, "score@MTL/seed-1")
    assert score.data.metrics == {"instruction/cold": 0.5}
    times = {(line.stage, line.seed): line.started for line in read_log(tracked.folder)}
    assert score.info.start_time == round(times["score@MTL", 1] * 1000)
    pretrained = the_run(tracked, "pretrained/seed-0")
    assert pretrained.data.params["base.tiny.layers"] == "3"
    assert pretrained.info.end_time - pretrained.info.start_time < 60_000


def scores_of(study: Study, cell: str) -> dict[str, float]:
    (record,) = [record for record in run_records(study) if record.cell == cell]
    return {name: value for name, value, _ in record.metrics}


def change_scores(study: Study, cell: str, examples: list[str], score: float | None) -> None:
    path = study.artifacts / "results" / cell / "evaluation.jsonl"
    write_records(path, [
        replace(r, judgement=replace(r.judgement, faithfulness=score))
        if r.example in examples else r
        for r in read_records(path, JudgedResponse)
    ])  # fmt: skip


def test_means_are_those_of_the_tables(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    answers = [e.id for e in EXAMPLES if e.dataset == "answers"]
    change_scores(study, "CD/seed-0", answers[:1], None)
    change_scores(study, "CD/seed-1", answers[:1], 0.5)
    change_scores(study, "CD/seed-1", answers[1:2], 0.0)
    # The first prompt lacks a score for seed 0, so it counts for neither seed.
    expected = 0.75 * (len(answers) - 2) / (len(answers) - 1)
    assert scores_of(study, CELL)["faithfulness/mean"] == pytest.approx(expected)
    results = load_results(study)
    means = [scores_of(study, f"CD/seed-{seed}")["faithfulness/mean"] for seed in (0, 1)]
    estimate = results.estimate(FAITHFULNESS, "CD")
    assert estimate and estimate.interval.mean == pytest.approx(fmean(means))
    change_scores(study, "CD/seed-0", answers, None)
    assert "faithfulness/mean" not in scores_of(study, CELL)


def test_published_runs_are_shown_where_there_are_no_results(
    tracked: Study, tmp_path: Path
) -> None:
    study = replace(tracked, folder=tmp_path)
    with pytest.raises(UnusableFile):
        track(study)
    write_run_records(tracked, tmp_path / "paper" / "runs.jsonl")
    records = read_run_records(tmp_path / "paper" / "runs.jsonl")
    assert records == {r.cell: replace(r, samples=[]) for r in run_records(tracked)}
    (tmp_path / "mlflow.db").write_bytes(b"of an earlier call")
    (tmp_path / "mlartifacts" / "1").mkdir(parents=True)
    track(study)
    assert len(runs(study)) == len(records)
    old, new = the_run(tracked, CELL), the_run(study, CELL)
    assert (new.data.metrics, new.info.start_time) == (old.data.metrics, old.info.start_time)
    assert not (tmp_path / "mlartifacts" / "1").exists()


@pytest.mark.parametrize(
    "folder", [ROOT, *(path.parents[1] for path in ROOT.glob("profiles/*/paper/runs.jsonl"))]
)
def test_a_published_effect_is_a_difference_of_published_runs(folder: Path) -> None:
    """The way from a claim to its runs and back, on the files of the repository."""
    records = read_run_records(folder / "paper" / "runs.jsonl").values()
    names = {"Faithfulness": "faithfulness", "Instruction following": "instruction"}

    def mean(arm: str, objective: str) -> float:
        final = [
            {name: value for name, value, _ in sorted(run.metrics, key=lambda metric: metric[2])}
            for run in records
            if run.arm == arm
        ]
        return fmean(metrics[f"{objective}/mean"] for metrics in final)

    claims = read_csv(folder / "paper" / "tables" / "claims.csv")
    claims = [row for row in claims if row["role"] == "primary" and row["measure"] in names]
    assert claims
    for row in claims:
        of, minus = (mean(row[side], names[row["measure"]]) for side in ("of", "minus"))
        assert float(row["effect"]) == pytest.approx(of - minus, abs=2e-6)
