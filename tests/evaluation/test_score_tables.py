"""Tables of scores by arm against means taken by hand."""

from dataclasses import replace

import pytest

from reproduce.evaluation.results import BOTH, INSTRUCTION, Results
from reproduce.evaluation.tables.score_tables import share_followed


def mean(responses: list, score: str, dataset: str) -> float:
    values = [getattr(r.judgement, score) for r in responses if r.dataset == dataset]
    return sum(values) / len(values)


def test_scores_are_the_same_in_all_tables(table, results: Results, final) -> None:
    (row,) = table("methods", arm="MTL")
    estimate = results.estimate(INSTRUCTION, "MTL")
    assert estimate and float(row["instruction"]) == pytest.approx(estimate.interval.mean, abs=1e-6)
    assert (row["instruction_prompts"], row["instruction_seeds"]) == ("36", "3")
    (listed,) = table("scores", arm="MTL", dataset="mean", measure="instruction")
    assert listed["mean"] == row["instruction"] and listed["low"] == row["instruction_low"]
    (listed,) = table("scores", arm="MTL", dataset="digests", measure="task")
    assert float(listed["mean"]) == pytest.approx(mean(final("MTL"), "task", "digests"), abs=1e-6)
    assert {row["arm"] for row in table("scores")} == set(results.arms)


@pytest.mark.parametrize(
    ("name", "arm"),
    [("controls", "random"), ("controls", "MTL-again"), ("controls", "ReSet-S"),
     ("ablations", "no-task")],
)  # fmt: skip
def test_controls_and_ablations_are_taken_from_reset(table, results, name: str, arm: str) -> None:
    (row,) = table(name, arm=arm)
    for metric in (INSTRUCTION, BOTH):
        difference = results.estimate(metric, "ReSet", arm)
        expected = pytest.approx(difference.interval.mean, abs=1e-6)
        assert float(row[f"{metric.name}_difference"]) == expected


def test_controls_have_their_dose(table) -> None:
    (row,) = table("controls", arm="ReSet")
    assert row["both_difference"] == ""
    doses = [float(row[name]) for name in ("steps", "rate", "distance")]
    assert doses == [8, 0.01, 0.1]


def test_both_levels_of_flaws_are_side_by_side(table, results) -> None:
    rows = {row["arm"]: row for row in table("levels")}
    assert set(rows) == {"MTL", "MTL-again", "ReSet"}
    gains = [
        results.estimate(BOTH, f"ReSet{level}", f"MTL-again{level}").interval.mean
        for level in ("", "-0")
    ]
    shown = [float(rows["ReSet"][f"gain:{level}"]) for level in ("flawed", "clean")]
    assert shown == pytest.approx(gains, abs=1e-6)
    assert rows["MTL-again"]["gain:flawed"] == rows["MTL"]["gain:clean"] == ""
    (clean,) = table("scores", arm="MTL-0", dataset="mean", measure="faithfulness")
    assert rows["MTL"]["faithfulness:clean"] == clean["mean"]


def test_trivial_responses_have_scores(table, results) -> None:
    (row,) = table("trivial", response="best constant")
    # "yes" follows one of two instructions.
    assert float(row["instruction"]) == 0.5 and float(row["joint_success"]) == 0.0
    assert 0 <= float(row["faithfulness"]) <= 1


def test_a_training_curve_begins_with_the_final_score_of_its_start(table) -> None:
    rows = table("training-curve", arm="CD-IF")
    points = [float(row["train_fraction"]) for row in rows]
    assert points == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-6)
    (end,) = table("training-curve", arm="CD", train_fraction="1.000000")
    assert rows[0]["faithfulness"] == end["faithfulness"]


def test_sizes_are_means_over_seeds_next_to_their_method(table, results: Results) -> None:
    (row,) = table("data-size", arm="ReSet")
    runs = results.training[results.training["arm"] == "ReSet"]
    assert float(row["examples"]) == pytest.approx(sum(runs["examples"]) / 3, abs=1e-6)
    assert table("data-size", arm="ReSet-S-quarter")[0]["method"] == "ReSet-S"
    assert table("data-size", arm="ReSet-quarter")[0]["method"] == "ReSet"


def test_data_sizes_begin_with_the_base_model(table) -> None:
    (base,), row = table("methods", arm="base"), table("data-size")[0]
    assert row["arm"] == "base" and row["faithfulness_low"] == base["faithfulness_low"]


def test_an_instruction_counts_the_same_whatever_prompt_it_is_of(results: Results, final) -> None:
    """As in IFEval (Zhou et al., 2023)."""
    first, *others = results.sets["orders-a"]
    longer = replace(first, instructions=first.instructions * 5)
    changed = replace(results, sets={**results.sets, "orders-a": [longer, *others]})
    counts = {e.id: len(e.instructions) for name in changed.datasets(INSTRUCTION)
              for e in changed.sets[name]}  # fmt: skip
    rows = [r for r in final("MTL") if r.example in counts]
    total = sum(counts[r.example] for r in rows)
    share = sum(r.judgement.details["instruction_strict"] * counts[r.example] for r in rows) / total
    estimate = share_followed(changed, "MTL", "instruction_strict")
    assert estimate and estimate.interval.mean == pytest.approx(share)
