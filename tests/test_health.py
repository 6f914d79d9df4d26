"""Tables of soundness: cut responses, losses at both ends of training, seeds one by one."""

import statistics
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import synthetic

from reproduce.evaluation.results import FAITHFULNESS, INSTRUCTION, MTL, load
from reproduce.evaluation.tables.health import health
from reproduce.evaluation.tables.seeds import seeds
from reproduce.utils.files import read_rows


@pytest.fixture
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.shared_study(tmp_path_factory.getbasetemp()) / "artifacts"


def test_health_counts_empty_answers_words_and_lost_rows(study: Path) -> None:
    results = load(study, synthetic.all_arms(), synthetic.small_params())
    found = {row["label"]: row for row in health(results).rows}
    runs = [study / MTL / f"seed-{seed}" / "evaluation.jsonl" for seed in results.seeds]
    rows = [row for run in runs for row in read_rows(run) if row["progress"] == 1.0]
    empty = sum(not row["response"] for row in rows) / len(rows)
    words = [len(row["response"].split()) for row in rows if row["instruction"] is not None]
    assert found["MTL"]["empty"] == pytest.approx(empty)
    cut = sum(not row["ended"] for row in rows) / len(rows)
    assert found["MTL"]["cut"] == pytest.approx(cut) and 0.05 < cut < 0.2
    assert float(found["MTL"]["words"]) == statistics.median(words)
    assert (found["MTL"]["too_long"], found["MTL"]["first_loss"]) == (3, pytest.approx(2.1))
    assert found["Base"]["first_loss"] is None


def test_plain_text_has_no_end_that_could_be_cut_off(study: Path) -> None:
    results = load(study, synthetic.all_arms(), synthetic.small_params())
    scores = results.scores.assign(ended=[None, *([1.0] * (len(results.scores) - 1))])
    assert {row["cut"] for row in health(replace(results, scores=scores)).rows} == {0.0}


def test_losses_are_those_of_the_first_and_the_last_tenth(study: Path) -> None:
    results = load(study, synthetic.all_arms(), synthetic.small_params())
    steps = [
        {"key": "methods/MTL", "seed": seed, "step": step, "loss": float(step + 100 * seed)}
        for seed in (0, 1) for step in range(20)
    ]  # fmt: skip
    found = health(replace(results, losses=pd.DataFrame(steps[::-1])))
    (row,) = [row for row in found.rows if row["label"] == "MTL"]
    assert (row["first_loss"], row["last_loss"]) == (50.5, 68.5)
    (base,) = [row for row in found.rows if row["label"] == "Base"]
    assert base["first_loss"] is None


def test_the_mean_over_seeds_is_that_of_the_other_tables(study: Path) -> None:
    results = load(study, synthetic.all_arms(), synthetic.small_params())
    rows = seeds(results).rows
    assert len({rows[1][f"{INSTRUCTION.name}:{seed}"] for seed in results.seeds}) > 1
    for row in rows:
        key = f"{row['experiment']}/{row['arm']}"
        for measure in (INSTRUCTION, FAITHFULNESS):
            found = [row[f"{measure.name}:{seed}"] for seed in results.seeds]
            estimate = results.estimate(measure, key)
            assert estimate and sum(found) / len(found) == pytest.approx(estimate.interval.mean)
