"""Tables of scores by arm against means taken by hand."""

from dataclasses import replace

import pytest

from reproduce.evaluation.results import BOTH, INSTRUCTION, Results
from reproduce.evaluation.tables.score_tables import ablations, share_followed, trivial


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


def test_only_variants_of_reset_at_its_level_and_steps_are_taken_from_it(table, results) -> None:
    assert [row["arm"] for row in table("ablations")] == ["no-task"]
    training = results.training
    shorter = training.assign(steps=training["steps"].where(training["arm"] != "no-task", 4))
    (row,) = ablations(replace(results, training=shorter)).rows
    assert row["instruction"] and row["instruction_difference"] is None


def test_weights_between_two_arms_are_listed_from_the_one_to_the_other(table) -> None:
    rows = [(row["arm"], float(row["share"])) for row in table("interpolation")]
    assert rows == [("IF", 0), ("between-3", 0.5), ("CD", 1)]


def test_a_method_is_compared_at_every_level_of_flaws(table, results) -> None:
    rows = table("levels")
    assert [row["arm"] for row in rows] == [
        f"{method}{level}"
        for method in ("MTL", "MTL-again", "ReSet")
        for level in ("-0", "-15", "")
    ]
    assert [float(row["flaws"]) for row in rows] == [0, 0.15, 0.3] * 3
    assert [row["method"] for row in rows[-3:]] == ["ReSet"] * 3
    for row, level in zip(rows[-3:], ("-0", "-15", ""), strict=True):
        gain = results.estimate(BOTH, f"ReSet{level}", f"MTL-again{level}").interval.mean
        assert float(row["both_difference"]) == pytest.approx(gain, abs=1e-6)
    assert {row["both_difference"] for row in rows[:-3]} == {""}


def test_trivial_responses_have_scores(table, results) -> None:
    (row,) = table("trivial", response="best constant")
    # "yes" follows one of two instructions.
    assert float(row["instruction"]) == 0.5 and float(row["joint_success"]) == 0.0
    assert 0 <= float(row["faithfulness"]) <= 1
    (relative,) = table("trivial", response="MTL, relative")
    (mtl,) = table("methods", arm="MTL")
    for end in ("", "_low", "_high"):
        expected = (float(mtl[f"instruction{end}"]) - 0.5) / 0.5
        assert float(relative[f"instruction{end}"]) == pytest.approx(expected, abs=1e-5)


def test_nothing_is_better_than_a_perfect_trivial_response(results: Results) -> None:
    perfect = replace(results, trivial=results.trivial.assign(faithfulness=1.0))
    last = trivial(perfect).rows[-1]
    assert last["faithfulness"] is None and last["instruction"]


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
