"""Tables of selections against what the arms train on."""

import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from reproduce.config import Weights
from reproduce.evaluation.results import Results
from reproduce.evaluation.tables.reward_tables import read_selections, rewards
from reproduce.reset.select import judgement_of, reward
from reproduce.schema import Candidate, read_records
from reproduce.study import Study
from reproduce.utils.files import read_json


def test_selected_candidates_are_those_that_the_arm_trains_on(table, study: Study) -> None:
    (row,) = table("rewards", label="ReSet-S", dataset="all")
    record = read_json(study.results_dir("ReSet-S", 0) / "record.json")
    assert int(row["kept"]) == record["examples"]
    assert float(row["reward_kept"]) > float(row["reward_all"])
    assert float(row["drawn"]) > float(row["considered"]) > float(row["kept"])


def test_only_seeds_with_candidates_count(results: Results, study: Study, tmp_path) -> None:
    scores = tmp_path / "artifacts" / "scores"
    part = Path("MTL") / "seed-1"
    shutil.copytree(study.artifacts / "scores" / part, scores / part)
    elsewhere = replace(results, study=replace(study, folder=tmp_path))
    selections = read_selections(elsewhere)
    assert set(selections["seed"]) == {1}
    assert any("seed 1" in note for note in rewards(selections).notes)
    shutil.rmtree(scores)
    assert rewards(read_selections(elsewhere)).rows == []


def test_the_best_of_the_first_candidates_is_that_of_a_plain_loop(table, study: Study) -> None:
    best: list[float] = []
    for seed in study.params.seeds:
        file = study.artifacts / "scores" / "MTL" / f"seed-{seed}" / "candidates.jsonl"
        values: dict[str, list[float]] = defaultdict(list)
        for c in read_records(file, Candidate):
            if c.sample == 0:  # One of each of four strategies.
                complete = c.finished and c.response
                value = reward(judgement_of(c), Weights()) if complete else 0.0
                values[c.example].append(value)
        best += [max(group) for group in values.values()]
    rows = {row["candidates"]: float(row["reward"]) for row in table("best-of")}
    assert list(rows) == ["1", "2", "4", "8", "16"]
    assert rows["4"] == pytest.approx(sum(best) / len(best), abs=1e-6)
    assert sorted(rows.values()) == list(rows.values())
