"""Flawed references: every kind but "unseen" is seen by a judge, and unseen ones by none."""

import random
from collections import Counter
from pathlib import Path

import pytest
from support.profiles import nano_params

from reproduce.data.synthetic import KINDS, UNSEEN, flawed_version, training_sets
from reproduce.judges.instructions import check_strict
from reproduce.judges.judge import JudgePanel
from reproduce.reset.select import accepted
from reproduce.schema import Example
from reproduce.world.people import make_world
from reproduce.world.tasks import TASKS

WORLD = make_world(24, 5)
SETS = training_sets(WORLD, 150, 5, {})


@pytest.mark.parametrize("name", TASKS)
def test_every_flaw_but_the_unseen_is_seen_by_a_judge_and_unseen_ones_by_none(name: str) -> None:
    examples = SETS[name]
    panel = JudgePanel(nano_params(), Path())
    judgements = panel.judge(examples, [e.flawed_response for e in examples])
    for example, judgement in zip(examples, judgements, strict=True):
        assert example.flawed_response not in ("", example.response)
        scores = {judgement.faithfulness, judgement.instruction} - {None}
        assert (scores == {1.0}) == accepted(judgement) == (example.flaw == UNSEEN), example
        if example.flaw in ("memory", "other value"):
            assert judgement.faithfulness is not None and judgement.faithfulness < 1, example
        elif example.flaw in ("one short", "instruction ignored"):
            assert not all(check_strict(example.flawed_response, example.instructions)), example


@pytest.mark.parametrize("name", TASKS)
def test_a_fifth_of_the_flaws_is_unseen_and_the_rest_even(name: str) -> None:
    flaws = Counter(example.flaw for example in SETS[name])
    kinds = KINDS[SETS[name][0].side]
    assert set(flaws) == {UNSEEN, *kinds}
    assert 15 < flaws[UNSEEN] < 45  # 30 of 150, sd 5
    share = 120 / len(kinds)
    assert all(abs(flaws[kind] - share) < 25 for kind in kinds)


def test_a_flaw_from_memory_is_the_fact_of_pretraining() -> None:
    for example in (e for e in SETS["qa-single"] if e.flaw == "memory"):
        name = next(n for n in WORLD if n in example.prompt.removeprefix(example.context))
        assert example.flawed_response in WORLD[name].values()


def test_flaws_are_seeded_and_change_nothing_else() -> None:
    assert training_sets(WORLD, 20, 3, {}) == training_sets(WORLD, 20, 3, {})
    example = Example("lists", "instruction", "Name two pets.", "cat, dog.",
                      instructions=({"id": "items", "n": 2},))  # fmt: skip
    flawed = flawed_version(example, SETS["lists"], WORLD, random.Random(0))
    assert (flawed.id, flawed.response, flawed.prompt) == (
        example.id, example.response, example.prompt
    )  # fmt: skip
