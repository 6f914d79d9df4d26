"""Tables of selections against what the arms train on."""

import shutil
from dataclasses import replace

import pytest

from reproduce.evaluation.results import Results
from reproduce.evaluation.tables.reward_tables import read_selections, rewards
from reproduce.study import Study
from reproduce.utils.files import read_json


def test_selected_candidates_are_those_that_the_arm_trains_on(table, study: Study) -> None:
    (row,) = table("rewards", label="ReSet-S", dataset="all")
    record = read_json(study.results_dir("ReSet-S", 0) / "record.json")
    assert int(row["kept"]) == record["examples"]
    assert float(row["reward_kept"]) > float(row["reward_all"])
    assert float(row["drawn"]) > float(row["considered"]) > float(row["kept"])


def test_the_shares_of_a_distribution_add_up(table) -> None:
    rows = table("reward-distribution", label="ReSet", side="CD", group="kept")
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-5)
    assert (rows[0]["low"], rows[-1]["high"]) == ("-1.000000", "1.000000")


def test_only_seeds_with_candidates_count(results: Results, study: Study, tmp_path) -> None:
    scores = tmp_path / "artifacts" / "scores"
    shutil.copytree(study.artifacts / "scores" / "seed-1", scores / "seed-1")
    elsewhere = replace(results, study=replace(study, folder=tmp_path))
    selections = read_selections(elsewhere)
    assert set(selections["seed"]) == {1}
    assert any("seed 1" in note for note in rewards(selections).notes)
    shutil.rmtree(scores)
    assert rewards(read_selections(elsewhere)).rows == []
