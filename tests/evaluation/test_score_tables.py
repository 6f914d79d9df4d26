"""Tables of scores by arm against means taken by hand."""

from dataclasses import replace

import pytest

from reproduce.evaluation.results import INSTRUCTION, Results
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
    ("control", "method"),
    [("random", "ReSet"), ("random-S", "ReSet-S"), ("more-MTL", "ReSet"), ("full-MTL", "full")],
)
def test_a_control_is_compared_with_its_method(table, results, control: str, method: str) -> None:
    (row,) = table("controls", arm=control)
    difference = results.estimate(INSTRUCTION, method, control)
    assert row["method"] == results.labels[method]
    expected = pytest.approx(difference.interval.mean, abs=1e-6)
    assert float(row["instruction_difference"]) == expected


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
    assert table("data-size", arm="ReSet-S-7")[0]["method"] == "ReSet-S"


@pytest.mark.parametrize("name", ["data-size", "ablations", "controls"])
def test_a_table_begins_with_the_base_model(table, name: str) -> None:
    (base,), row = table("methods", arm="base"), table(name)[0]
    assert row["arm"] == "base" and row["faithfulness_low"] == base["faithfulness_low"]
    assert row.get("instruction_difference", "") == ""


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
