"""The MLflow runs of a small study, against a database of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tracked import ARMS, CELL, ROOT, SETS, Study, examples, judged, study_here, write_arm

from reproduce import records
from reproduce.config import Base, Training, load_params
from reproduce.records import (
    CODE,
    SAMPLES_A_SET,
    flat,
    keep_runs,
    kept_runs,
    runs_here,
    sample_table,
    score_points,
)
from reproduce.stage_records import stage_runs
from reproduce.tracking import SAMPLES, track
from reproduce.training.sampler import steps_in
from reproduce.utils.files import UnusableFile, fingerprint, sealed_folder, write_json, write_rows


@pytest.fixture
def study(tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch) -> Study:
    return study_here(tmp_path, database, monkeypatch)


def test_a_filter_leads_from_a_cell_to_its_run(study: Study) -> None:
    study.track()
    run = study.run(CELL)
    tags = run.data.tags
    assert (tags["arm"], tags["seed"]) == ("CD", "1")
    assert (tags["profile"], tags["experiment"]) == ("tiny", "two-stage")
    assert tags["record"] == fingerprint(study.artifacts / "two-stage/CD")
    assert tags["input.evaluation"] == "e" * 64
    assert tags["mlflow.parentRunId"] == study.run("two-stage").info.run_id
    assert run.info.status == "FINISHED"
    assert len(study.runs()) == 6 + 2


def test_a_run_holds_settings_and_scores(study: Study) -> None:
    study.track()
    run, steps = study.run(CELL), steps_in(208, study.params.training)
    found = run.data.metrics
    assert found["faithfulness/mean"] == found["faithfulness/answers"] == 0.75
    assert found["instruction/mean"] == 0.25
    assert found["faithfulness/probe"] == 1.0
    assert "task/orders" not in found
    history = study.client.get_metric_history(run.info.run_id, "task/mean")
    assert [(m.step, m.value) for m in history] == [(round(steps / 2), 0.25), (steps, 0.5)]
    losses = study.client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in losses] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert run.data.params["arm.label"] == "CD → x"
    assert run.data.params["arm.mixture.CD"] == "1.0"
    assert run.data.params["training.epochs"] == "3.0"
    assert study.run("methods/MTL/seed-0").data.params["training.epochs"] == "1.0"
    assert "loss" not in study.run("two-stage/base/seed-0").data.metrics


def test_samples_are_a_table_of_mlflow(study: Study, tmp_path: Path) -> None:
    study.track()
    run = study.run(CELL)
    table = study.client.load_table(run.info.experiment_id, SAMPLES, [run.info.run_id])
    assert len(table) == SAMPLES_A_SET * len(SETS)
    assert set(table["response"]) <= {f"r {e.id}" for e in examples()}
    file = tmp_path / "mlartifacts" / run.info.run_id / "artifacts" / SAMPLES
    assert file.is_file()


def test_a_second_call_changes_nothing(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    first = study.track()
    before = {run.info.run_id: run.to_dictionary() for run in study.runs()}
    capsys.readouterr()
    assert json.dumps(study.track()) == json.dumps(first)
    assert "nothing changed" in capsys.readouterr().out
    assert {run.info.run_id: run.to_dictionary() for run in study.runs()} == before


def test_the_receipt_holds_the_records(study: Study, tmp_path: Path) -> None:
    receipt = study.track()
    record = fingerprint(study.artifacts / "methods/MTL")
    assert receipt["methods"] == {"MTL": {"0": record, "1": record}}
    (tmp_path / "mlflow.db").unlink()
    assert study.track() == receipt


def test_a_changed_record_is_logged_again(study: Study) -> None:
    study.track()
    before = {run.data.tags["cell"]: run.info.run_id for run in study.runs()}
    write_arm(study.artifacts, study.params, "two-stage/CD", ARMS["two-stage"]["CD"], loss=9.0)
    study.track()
    after = {run.data.tags["cell"]: run.info.run_id for run in study.runs()}
    assert {cell for cell in after if after[cell] != before[cell]} == {
        "two-stage/CD/seed-0", CELL,
    }  # fmt: skip
    assert study.client.get_metric_history(after[CELL], "loss")[0].value == 9.0


def test_unfinished_runs_are_removed(study: Study) -> None:
    study.track()
    client, broken = study.client, study.run(CELL)
    client.delete_tag(broken.info.run_id, "complete")
    tags = {"cell": "two-stage/base/seed-0", "record": "x"}
    running = client.create_run(broken.info.experiment_id, tags=tags)
    study.track()
    ids = {run.info.run_id for run in study.runs()}
    assert len(ids) == 8
    assert not ids & {broken.info.run_id, running.info.run_id}


def test_a_new_parent_adopts_the_runs_that_are_left(study: Study) -> None:
    study.track()
    child = study.run(CELL).info.run_id
    study.client.delete_run(study.run("two-stage").info.run_id)
    study.track()
    run = study.run(CELL)
    assert run.info.run_id == child
    assert run.data.tags["mlflow.parentRunId"] == study.run("two-stage").info.run_id


def test_runs_of_others_are_left_alone_and_lost_arms_removed(study: Study) -> None:
    study.track()
    lost = study.run(CELL)
    own = study.client.create_run(lost.info.experiment_id, run_name="mine").info.run_id
    arms = {"methods": ARMS["methods"]}
    track(study.params.profile, runs_here(study.params, arms, study.artifacts), study.artifacts)
    assert len(study.runs()) == 1 + 2 + 1
    assert own in {run.info.run_id for run in study.runs()}


def test_tables_go_to_their_experiment(study: Study, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "two-stage.csv").write_text("a\n1\n", encoding="utf-8")
    (tables / "claims.csv").write_text("b\n", encoding="utf-8")
    study.track(tables)
    parent = study.run("two-stage").info.run_id
    assert [f.path for f in study.client.list_artifacts(parent, "tables")] == [
        "tables/two-stage.csv"
    ]
    (tables / "two-stage.csv").write_text("a\n2\n", encoding="utf-8")
    study.track(tables)
    file = tmp_path / "mlartifacts" / parent / "artifacts/tables/two-stage.csv"
    assert file.read_text("utf-8") == "a\n2\n"


def test_a_moved_folder_keeps_its_files(study: Study, tmp_path: Path) -> None:
    study.track()
    (tmp_path / "moved").mkdir()
    for name in ("artifacts", "mlflow.db", "mlartifacts"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    study.artifacts = tmp_path / "moved/artifacts"
    study.track()
    run = study.run(CELL)
    assert [f.path for f in study.client.list_artifacts(run.info.run_id)] == [SAMPLES]
    assert str(tmp_path / "moved") in run.info.artifact_uri


def test_means_that_other_judges_carry_are_logged_again(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which judges are sound decides a mean, and is no part of an arm."""
    study.track()
    first = study.run(CELL)
    assert "faithfulness/mean" in first.data.metrics
    monkeypatch.setattr(records, "sound_sets", lambda *_: [])
    study.track()
    second = study.run(CELL)
    assert second.info.run_id != first.info.run_id
    assert "faithfulness/mean" not in second.data.metrics
    assert second.data.tags["record"] == first.data.tags["record"]


def test_a_missing_arm_is_named(study: Study, tmp_path: Path) -> None:
    (study.artifacts / "methods/MTL/SHA256SUMS").unlink()
    with pytest.raises(UnusableFile, match=r"methods/MTL; run `dvc repro`"):
        study.track()


def numbers(study: Study) -> dict[str, Any]:
    """Return cell -> what its run holds besides its responses."""
    return {
        run.data.tags["cell"]: (run.data.params, run.data.metrics, run.data.tags.get("record"))
        for run in study.runs()
    }


def test_a_clone_without_artifacts_has_its_runs_from_the_record(
    study: Study, tmp_path: Path, database: bytes
) -> None:
    runs = runs_here(study.params, ARMS, study.artifacts)
    # What a conflict of two branches left is written anew.
    (tmp_path / "runs.jsonl").write_text("<<<<<<< ours\n")
    keep_runs(tmp_path / "runs.jsonl", runs)
    kept = kept_runs(tmp_path / "runs.jsonl")
    receipt, expected = study.track(), numbers(study)
    (tmp_path / "mlflow.db").write_bytes(database)
    for _ in range(2):
        assert track(study.params.profile, kept, study.artifacts) == receipt
    assert numbers(study) == expected
    run = study.run(CELL)
    assert "record of runs" in run.data.tags["origin"]
    assert not study.client.list_artifacts(run.info.run_id)
    losses = study.client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in losses] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_a_run_with_responses_takes_the_place_of_one_without(study: Study, tmp_path: Path) -> None:
    keep_runs(tmp_path / "runs.jsonl", runs_here(study.params, ARMS, study.artifacts))
    kept = kept_runs(tmp_path / "runs.jsonl")
    track(study.params.profile, kept, study.artifacts)
    study.track()
    whole = {run.info.run_id for run in study.runs() if "origin" not in run.data.tags}
    assert len(whole) == 8
    track(study.params.profile, kept, study.artifacts)
    assert {run.info.run_id for run in study.runs()} == whole


def test_runs_that_are_logged_are_not_read_again(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their bytes are hashed and parsed once; a study of a real model has gigabytes of them."""
    kept = tmp_path / "runs.jsonl"
    keep_runs(kept, runs_here(study.params, ARMS, study.artifacts))
    study.track()
    written = kept.stat().st_mtime_ns
    monkeypatch.setattr(records, "content", lambda *_: pytest.fail("was read again"))
    keep_runs(kept, runs_here(study.params, ARMS, study.artifacts))
    study.track()
    assert kept.stat().st_mtime_ns == written
    monkeypatch.undo()
    write_arm(study.artifacts, study.params, "methods/MTL", ARMS["methods"]["MTL"], loss=2.0)
    keep_runs(kept, runs_here(study.params, ARMS, study.artifacts))
    assert {c.record for c in kept_runs(kept) if c.arm == "MTL"} == {
        fingerprint(study.artifacts / "methods/MTL")
    }


def test_stages_that_are_no_arm_have_runs(study: Study) -> None:
    losses = [{"step": n, "loss": 1 / n, "learning_rate": 0.1} for n in (1, 2, 4)]
    with sealed_folder(study.artifacts / "base") as draft:
        for seed in study.params.seeds:
            (draft / f"seed-{seed}").mkdir()
            write_json(draft / f"seed-{seed}" / "history.json", losses[: 2 + seed])
    given = [("warm", 1.0, None, 0.5), ("warm", 0.0, 1.0, None), ("cold", 0.5, None, None)]
    rows = [{"strategy": s, "task": t, "faithfulness": f, "instruction": i} for s, t, f, i in given]
    with sealed_folder(study.artifacts / "scores") as draft:
        for seed in study.params.seeds:
            write_rows(draft / f"scores-{seed}.jsonl", rows)
    runs = stage_runs(study.params, study.artifacts)
    receipt = track(study.params.profile, runs, study.artifacts)
    assert set(receipt["pipeline"]) == {"base", "judges", "rewards"}
    base = [study.run(f"pipeline/base/seed-{seed}") for seed in (0, 1)]
    assert [run.data.metrics["loss"] for run in base] == [0.5, 0.25]
    assert base[1].data.params["base.tiny.layers"] == "3"
    assert study.run("pipeline/judges/seed-0").data.metrics == {"auc/answers": 1.0}
    assert study.run("pipeline/rewards/seed-1").data.metrics == {
        "task/warm": 0.5, "task/cold": 0.5, "faithfulness/warm": 1.0, "instruction/warm": 0.5,
    }  # fmt: skip
    judging = study.params.judging.model_copy(update={"max_empty_share": 0.125})
    other = stage_runs(study.params.model_copy(update={"judging": judging}), study.artifacts)
    # The same bytes, judged by other settings: that run alone is logged again.
    assert [cell.arm for cell in set(other) - set(runs)] == ["judges"]
    track(study.params.profile, other, study.artifacts)
    found = study.run("pipeline/judges/seed-0").data.params
    assert found["judging.max_empty_share"] == "0.125"
    imported = study.params.model_copy(update={"base": Base(imported="smollm2")})
    runs = stage_runs(imported, study.artifacts)
    assert [(cell.arm, cell.seed) for cell in runs if cell.arm == "base"] == [("base", 0)]


def test_a_record_of_another_form_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "runs.jsonl", [{"experiment": "two-stage"}])
    with pytest.raises(UnusableFile, match=r"runs.jsonl: lacks 'arm'"):
        kept_runs(tmp_path / "runs.jsonl")


def test_score_points_leave_probes_out_of_means() -> None:
    rows = [row for row in judged(1.0, 0)]
    found = {e.id: e for e in examples()}
    points = score_points(rows, found, {"answers"}, 40)
    assert ("faithfulness/mean", 0.75, 40) in points
    assert ("faithfulness/probe", 1.0, 40) in points
    unsound = score_points(rows, found, set(), 40)
    assert ("faithfulness/answers", 0.75, 40) in unsound
    assert not [point for point in unsound if point[0] == "faithfulness/mean"]


def test_there_is_no_mean_where_a_data_set_has_no_score() -> None:
    found = {e.id: e for e in examples()}
    rows = [row | {"faithfulness": None} if row["dataset"] == "answers" else row
            for row in judged(1.0, 0)]  # fmt: skip
    names = {name for name, _, _ in score_points(rows, found, {"answers"}, 40)}
    assert "faithfulness/probe" in names and "instruction/mean" in names
    assert not names & {"faithfulness/answers", "faithfulness/mean"}


def test_runs_leave_out_the_prompts_that_tables_leave_out() -> None:
    """A prompt that one seed has no score for counts for no seed, at that point of training."""
    seeds = {0: judged(0.5, 0) + judged(1.0, 0), 1: judged(0.4, 1) + judged(1.0, 1)}
    lacking = next(row for row in seeds[0] if row["dataset"] == "answers")
    lacking["task"] = None
    before = [dict(row) for row in seeds[1]]
    found = records.comparable(seeds)
    (changed,) = [n for n, row in enumerate(found[1]) if row != before[n]]
    assert found[1][changed] == before[changed] | {"task": None}
    assert (found[1][changed]["example"], found[1][changed]["progress"]) == (
        lacking["example"],
        0.4,
    )
    assert found[0] == seeds[0] and seeds[1] == before


def test_what_decides_a_run_is_what_the_stage_depends_on() -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["tracking"]["deps"]
    assert {f"${{package}}/{name}.py" for name in CODE} <= set(deps)


def test_samples_do_not_depend_on_the_order_of_rows() -> None:
    rows, found = judged(0.5, 0) + judged(1.0, 0), {e.id: e for e in examples()}
    assert sample_table(rows, found) == sample_table(rows[::-1], found)


def test_flat_names_every_setting() -> None:
    nested = {"a": {"b/1": 0.5, "none": None}, "c": ["x"], "d": "text"}
    assert flat(nested, "arm") == {"arm.a.b/1": "0.5", "arm.c": '["x"]', "arm.d": "text"}
    assert "training.schedule" in flat(_training().model_dump(), "training")


def _training() -> Training:
    return load_params(ROOT / "params.yaml").training
