"""Tables of selections against what the arms train on."""

import shutil

import pytest

from reproduce.arms import training_examples
from reproduce.evaluation.results import Results, load_results
from reproduce.evaluation.tables.reward_tables import read_selections, rewards
from reproduce.study import Study


def test_selected_candidates_are_those_that_the_arm_trains_on(table, study: Study) -> None:
    (row,) = table("rewards", label="ReSet-S", dataset="all")
    examples = training_examples(study.arms["ReSet-S"], study.artifacts / "scores", 0)
    assert int(row["kept"]) == len(examples)
    assert float(row["reward_kept"]) > float(row["reward_all"])
    assert float(row["drawn"]) > float(row["considered"]) > float(row["kept"])


def test_the_shares_of_a_distribution_add_up(table) -> None:
    rows = table("reward-distribution", label="ReSet", side="CD", group="kept")
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-5)
    assert (rows[0]["low"], rows[-1]["high"]) == ("-1.000000", "1.000000")


def test_only_seeds_with_candidates_count(results: Results, partial_study: Study) -> None:
    study = partial_study
    for seed in (0, 2):
        shutil.rmtree(study.artifacts / "scores" / f"seed-{seed}")
    elsewhere = load_results(study)
    elsewhere.arms |= {name: results.arms[name] for name in ("ReSet", "ReSet-S")}  # type: ignore
    elsewhere.labels |= {"ReSet": "ReSet", "ReSet-S": "ReSet-S"}  # type: ignore
    selections = read_selections(elsewhere)
    assert [s.seed for s in selections["ReSet"]] == [1]
    assert any("seed 1" in note for note in rewards(selections).notes)
    shutil.rmtree(study.artifacts / "scores")
    assert rewards(read_selections(elsewhere)).rows == []
