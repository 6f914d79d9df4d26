"""Frames and estimates of a synthetic study against means taken by hand, and broken results."""

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.synthetic_study import rewrite

from reproduce.evaluation.results import (
    BOTH,
    FAITHFUL_ANSWER,
    FAITHFULNESS,
    INSTRUCTION,
    JOINT_SUCCESS,
    TASK,
    Results,
    load_results,
)
from reproduce.reset.select import FAITHFUL
from reproduce.schema import JudgedTrial, Judgement, read_records, write_records
from reproduce.study import Study
from reproduce.utils.files import UnusableFile, read_json, write_json

IF_SETS = ["orders-a", "orders-b", "orders-c"]
CD_SETS = ["answers-a", "answers-b", "digests"]


def macro(responses: list, score: str, sets: list[str]) -> float:
    by_set = [[getattr(r.judgement, score) for r in responses if r.dataset == s] for s in sets]
    return sum(sum(values) / len(values) for values in by_set) / len(by_set)


def test_estimates_are_macro_averages_without_probes(results: Results, final) -> None:
    for metric, sets in ((INSTRUCTION, IF_SETS), (FAITHFULNESS, CD_SETS), (TASK, CD_SETS)):
        estimate = results.estimate(metric, "MTL")
        assert estimate and estimate.interval.prompts == 36 and estimate.interval.seeds == 3
        assert estimate.interval.mean == pytest.approx(macro(final("MTL"), metric.name, sets))
        difference = results.estimate(metric, "ReSet", against="MTL")
        assert difference and difference.difference
        assert difference.interval.mean == pytest.approx(
            macro(final("ReSet"), metric.name, sets) - macro(final("MTL"), metric.name, sets)
        )


def test_both_gives_each_objective_half_the_weight(results: Results, final) -> None:
    instruction = macro(final("MTL"), "instruction", IF_SETS)
    expected = (instruction + macro(final("MTL"), "faithfulness", CD_SETS)) / 2
    estimate = results.estimate(BOTH, "MTL")
    assert estimate and estimate.interval.mean == pytest.approx(expected)


def test_frames_are_in_the_order_of_seeds_and_prompts(results: Results) -> None:
    frame = results.frame("MTL", "answers-a")
    ids = [example.id for example in results.sets["answers-a"]]
    assert list(frame["example"]) == ids * 3
    assert list(frame["seed"]) == [seed for seed in (0, 1, 2) for _ in ids]
    assert results.train_fractions("CD-IF") == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-6)


def test_a_ratio_is_of_all_cases_together(results: Results) -> None:
    hits: list[Any] = [np.array([[1.0, 0.0]]), np.array([[2.0]])]
    cases: list[Any] = [np.array([[2.0, 0.0]]), np.array([[2.0]])]
    share = results.ratio(hits, cases)
    assert share and share.interval.mean == 3 / 4
    assert results.ratio(hits, [0 * grid for grid in cases]) is None
    assert results.ratio([], []) is None


def test_a_prompt_without_a_score_for_one_seed_is_dropped(partial_study: Study) -> None:
    def unscore(rows: list[dict]) -> list[dict]:
        first = next(row for row in rows if row["dataset"] == "orders-a")
        first["judgement"]["instruction"] = None
        return rows

    rewrite(partial_study.results_dir("MTL", 1) / "evaluation.jsonl", unscore)
    results = load_results(partial_study)
    for against in (None, "base"):
        estimate = results.estimate(INSTRUCTION, "MTL", against)
        assert estimate and (estimate.dropped, estimate.interval.prompts) == (1, 35)


def test_a_published_seed_counts_and_a_local_one_comes_first(partial_study: Study) -> None:
    study = partial_study
    for arm in study.arms:
        for seed in (0, 2):
            target = study.paper / "results" / arm / f"seed-{seed}"
            shutil.copytree(study.results_dir(arm, seed), target)
        shutil.rmtree(study.results_dir(arm, 2))
    expected = load_results(study).scores
    for arm in study.arms:
        (study.paper / "results" / arm / "seed-0" / "evaluation.jsonl").write_text("")
    results = load_results(study)
    assert results.seeds == (0, 1, 2) and results.scores.equals(expected)


def test_incomplete_results_are_named(partial_study: Study) -> None:
    study = partial_study
    evaluation = study.results_dir("MTL", 1) / "evaluation.jsonl"
    rewrite(evaluation, lambda rows: rows[:-1])
    with pytest.raises(UnusableFile, match="MTL/seed-1/evaluation"):
        load_results(study)
    shutil.rmtree(study.results_dir("MTL", 1))
    with pytest.raises(UnusableFile, match=r"MTL: .*\[0, 2\]"):
        load_results(study)
    shutil.rmtree(study.artifacts / "results" / "MTL")
    with pytest.raises(UnusableFile, match=r"results/MTL.*dvc repro arm@MTL"):
        load_results(study)
    assert list(load_results(study, ["base", "CD"]).arms) == ["base", "CD"]


def test_seeds_of_one_arm_need_equal_settings(partial_study: Study) -> None:
    path = partial_study.results_dir("CD", 2) / "record.json"
    record = read_json(path)
    write_json(path, record | {"training": record["training"] | {"epochs": 9.0}})
    with pytest.raises(UnusableFile, match="CD/seed-2/record.json: .*training"):
        load_results(partial_study)


def test_seeds_need_as_many_evaluations(partial_study: Study) -> None:
    path = partial_study.results_dir("CD", 1) / "evaluation.jsonl"
    rewrite(path, lambda rows: [row for row in rows if row["train_fraction"] == 1])
    with pytest.raises(UnusableFile, match="CD/seed-1"):
        load_results(partial_study)


def test_an_invalid_metric_is_not_used_for_claims(partial_study: Study) -> None:
    path = partial_study.artifacts / "judges" / "validation" / "trials.jsonl"
    blind = [
        replace(trial, judgement=Judgement(None, None, None, {"entailed": 1.0}))
        if trial.dataset == "answers-a" else trial
        for trial in read_records(path, JudgedTrial)
    ]  # fmt: skip
    write_records(path, blind)
    assert load_results(partial_study).datasets(FAITHFULNESS) == ["answers-b", "digests"]


def test_a_faithful_answer_is_entailed_and_states_the_reference(results: Results, final) -> None:
    responses = final("IF", "answers-a")
    faithful = [r.judgement.faithfulness > FAITHFUL for r in responses]
    stated = [r.judgement.details["states_answer"] == 1 for r in responses]
    both = sum(a and b for a, b in zip(faithful, stated, strict=True)) / len(responses)
    estimate = results.estimate(FAITHFUL_ANSWER, "IF", datasets=["answers-a"])
    assert estimate and estimate.interval.mean == pytest.approx(both) and 0 < both < 1
    assert results.datasets(FAITHFUL_ANSWER) == ["answers-a", "answers-b"]


def test_joint_success_is_faithful_and_follows_all_instructions(results: Results, final) -> None:
    responses = final("IF", "joined")
    succeeds = [
        r.judgement.faithfulness > FAITHFUL and r.judgement.details["prompt_strict"] == 1
        for r in responses
    ]
    estimate = results.estimate(JOINT_SUCCESS, "IF")
    assert estimate and estimate.interval.mean == pytest.approx(sum(succeeds) / len(responses))
    assert 0 < sum(succeeds) < len(responses) and results.datasets(JOINT_SUCCESS) == ["joined"]
    # Prompts of both sides count in no objective of one side.
    assert "joined" not in results.datasets(BOTH) + results.datasets(TASK)


def test_the_steps_of_an_arm_count_from_the_pretrained_model(results: Results) -> None:
    assert [results.total_steps(arm) for arm in ("base", "MTL", "ReSet", "CD-IF")] == [0, 8, 16, 16]
