"""The table of kinds of instructions against responses whose fate is known."""

from dataclasses import replace

import pytest
import synthetic

from reproduce.evaluation.results import INSTRUCTION, MTL, Results, load
from reproduce.evaluation.tables.instructions import instructions
from reproduce.schema import Example

AT_MOST = {"id": "words", "relation": "at most", "n": 2}
AT_LEAST = {"id": "words", "relation": "at least", "n": 3}
NO_COMMA = {"id": "no_comma"}


@pytest.fixture
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    study = synthetic.shared_study(tmp_path_factory.getbasetemp()) / "artifacts"
    return load(study, synthetic.all_arms(), synthetic.small_params())


def test_each_kind_is_counted_over_prompts_and_seeds(results: Results) -> None:
    first, *others = results.datasets(INSTRUCTION)
    ids = [example.id for example in results.sets[first]]
    asked = [(AT_MOST, NO_COMMA), (AT_LEAST,)] + [()] * (len(ids) - 2)
    told = [
        Example(first, "instruction", "Do.", "Yes.", instructions=each, id=name)
        for each, name in zip(asked, ids, strict=True)
    ]
    bare = {n: [replace(e, instructions=()) for e in results.sets[n]] for n in others}
    said = [["Yes, sir.", "One two three."], ["One two three.", "Yes."], ["One, two, 3.", "1 2 3."]]
    frame = results.frame(MTL, first)
    texts = [text for seed in said for text in seed + ["any"] * (len(ids) - 2)]
    groups = {**results.groups, (MTL, 1.0, first): frame.assign(response=texts)}
    made = replace(results, sets={**results.sets, first: told, **bare}, groups=groups)
    rows = {row["kind"]: row for row in instructions(made).rows}
    assert {kind: row["asked"] for kind, row in rows.items()} == dict.fromkeys(rows, 1)
    assert {kind: row[MTL].interval.mean for kind, row in rows.items()} == pytest.approx(
        {"words at most": 1 / 3, "words at least": 2 / 3, "no comma": 1 / 3}
    )


def test_the_shares_make_up_the_strict_measure_of_the_instructions(results: Results) -> None:
    (row,) = instructions(results).rows  # all are of one kind, as many a prompt
    assert row["kind"] == "includes"
    means = [
        results.grid(MTL, name, "instruction_strict") for name in results.datasets(INSTRUCTION)
    ]
    prompts = [mean for grid in means for mean in grid.mean(axis=0)]
    assert row["asked"] == 2 * len(prompts)
    assert row[MTL].interval.mean == pytest.approx(sum(prompts) / len(prompts))
