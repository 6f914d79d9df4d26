"""Tables on runs, losses, seeds, data sets and scale."""

import statistics
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd
import pytest

from reproduce.data.datasets import Counts
from reproduce.evaluation.results import FAITHFULNESS, INSTRUCTION, Results
from reproduce.evaluation.tables.diagnostics import datasets, diagnostics, seeds
from reproduce.schema import Example, write_records
from reproduce.utils.files import write_csv

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()
PASSAGE = " ".join(WORDS)


def test_empty_and_truncated_responses_are_counted(results: Results, final) -> None:
    rows = {row["arm"]: row for row in diagnostics(results).rows}
    responses, row = final("MTL"), rows["MTL"]
    words = [len(r.response.split()) for r in responses if r.dataset.startswith("orders")]
    assert row["empty"] == pytest.approx(sum(not r.response for r in responses) / len(responses))
    cut = sum(not r.finished for r in responses) / len(responses)
    assert row["cut"] == pytest.approx(cut) and 0.05 < cut < 0.2
    assert float(row["words"]) == statistics.median(words)
    assert any(" as too long: " in note for note in diagnostics(results).notes)
    assert rows["base"]["first_loss"] is rows["base"]["examples"] is None


def test_plain_text_cannot_be_truncated(results: Results) -> None:
    finished = [None, *([1.0] * (len(results.scores) - 1))]
    changed = replace(results, scores=results.scores.assign(finished=finished))
    assert {row["cut"] for row in diagnostics(changed).rows} == {0.0}


def test_removed_words_still_count_as_words(results: Results) -> None:
    changed = replace(results, scores=results.scores.assign(response="a [14 words copied] b"))
    assert {row["words"] for row in diagnostics(changed).rows} == {"16"}


def test_losses_are_those_of_the_first_and_the_last_tenth(results: Results) -> None:
    steps = [
        {"arm": "MTL", "seed": seed, "step": step, "loss": float(step + 100 * seed)}
        for seed in (0, 1) for step in range(20)
    ]  # fmt: skip
    rows = diagnostics(replace(results, losses=pd.DataFrame(steps[::-1]))).rows
    (row,) = [row for row in rows if row["arm"] == "MTL"]
    assert (row["first_loss"], row["last_loss"]) == (50.5, 68.5)


def test_the_mean_over_seeds_is_that_of_the_other_tables(results: Results) -> None:
    for row in seeds(results).rows:
        for metric in (INSTRUCTION, FAITHFULNESS):
            scores = [row[f"{metric.name}:{seed}"] for seed in results.seeds]
            estimate = results.estimate(metric, str(row["arm"]))
            assert estimate
            assert sum(scores) / 3 == pytest.approx(estimate.interval.mean)  # type: ignore


def test_the_scale_of_the_study(table, results: Results) -> None:
    (row,) = table("study")
    numbers = [
        int(row[name]) for name in ("parameters", "arms", "seeds", "if_prompts", "cd_prompts")
    ]
    assert numbers == [23, len(results.arms), 3, 36, 36] and row["profile"] == "tiny"


def question(passage: str, text: str) -> Example:
    return Example("answers", "extractive", f"{passage}\n{text}", "x", passage, ("x",))


def write_sets(artifacts: Path, training: list[Example], evaluation: list[Example]) -> None:
    for part, examples in (("training", training), ("evaluation", evaluation)):
        for name in {example.dataset for example in examples}:
            members = [example for example in examples if example.dataset == name]
            write_records(artifacts / "data" / part / f"{name}.jsonl", members)


def test_data_sets_are_counted_and_compared(tmp_path: Path) -> None:
    order = Example("orders", "instruction", "Write a line.", "x")
    evaluation = [
        question(PASSAGE, "What?"),  # the same prompt
        question(PASSAGE, "When?"),  # the same passage
        question(" ".join([*WORDS[:8], "x", *WORDS[8:]]), "Why?"),
        question(" ".join(WORDS[:7]), "Where?"),
    ]
    training = [question(PASSAGE, "What?"), question("another passage", "Who?"), order]
    write_sets(tmp_path, training, evaluation)
    answers, orders = datasets(tmp_path).rows
    assert (answers["side"], answers["train"], answers["evaluation"]) == ("CD", 2, 4)
    assert (answers["exact"], answers["overlap"]) == (1, 0.5)
    assert (orders["side"], orders["train"], orders["evaluation"]) == ("IF", 1, 0)
    assert orders["exact"] is orders["overlap"] is None


def test_counts_of_a_source_are_in_the_table(tmp_path: Path) -> None:
    write_sets(tmp_path, [question("a passage", "Who?")], [question("b", "Who?")])
    names = [field.name for field in fields(Counts) if field.name != "dataset"]
    counts = {name: number for number, name in enumerate(names, 5)}
    folder = tmp_path / "data" / "evaluation"
    write_csv(folder / "counts.csv", [{"dataset": "answers", **counts}])
    table = datasets(tmp_path)
    (row,) = table.rows
    for name in ("rows", "left_out", "invalid", "too_long", "shared", "repeated"):
        assert row[name] == str(counts[name]) and name in table.headers
    assert (row["train"], row["evaluation"]) == (1, 1)
