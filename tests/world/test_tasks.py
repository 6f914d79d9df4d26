"""The synthetic tasks: seeded, consistent with the judges, and in conflict with pretraining."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.profiles import nano_params

from reproduce.data.synthetic import evaluation_sets, training_sets
from reproduce.judges.faithfulness import sentences
from reproduce.judges.instructions import check_strict
from reproduce.judges.judge import JudgePanel
from reproduce.schema import Example, Sets
from reproduce.world.entailment import read_fact
from reproduce.world.people import (
    NAMES,
    QUESTIONS,
    STATEMENTS,
    VALUES,
    World,
    make_world,
    statement,
)
from reproduce.world.tasks import PROBES, SIDES

QUESTION_SETS = ("qa-single", "qa-pair", "qa-agreeing")
BIG_WORLD = make_world(30, 5)
PANEL = JudgePanel(nano_params(), Path())


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Return many examples of another, larger world."""
    evaluation = evaluation_sets(BIG_WORLD, 80, 5)
    train = training_sets(BIG_WORLD, 80, 5, evaluation)
    return [e for sets in (evaluation, train) for members in sets.values() for e in members]


def facts_in(text: str) -> set[tuple[str, str, str]]:
    return {fact for sentence in sentences(text) if (fact := read_fact(sentence))}


def asked_for(example: Example) -> tuple[str, str]:
    """Return the name and the attribute that a question asks for."""
    question = example.prompt.removeprefix(example.context).strip()
    [pair] = [
        (name, attribute)
        for attribute, forms in QUESTIONS.items()
        for form in forms
        for name in NAMES
        if form.format(n=name) == question
    ]
    return pair


def test_examples_depend_on_the_seed_and_not_on_their_number(world: World) -> None:
    few, again, many = (evaluation_sets(world, size, 0) for size in (5, 5, 20))
    assert few == again != evaluation_sets(world, 5, 1)
    # A flaw may borrow a part of any other example.
    for name in few:
        assert [replace(e, flaw="", flawed_response="") for e in many[name][:5]] == [
            replace(e, flaw="", flawed_response="") for e in few[name]
        ]


def test_sizes_kinds_and_sides(training: Sets, held_out: Sets) -> None:
    assert {name: examples[0].side for name, examples in training.items()} == SIDES
    for name, examples in held_out.items():
        assert {(e.dataset, e.is_probe) for e in examples} == {(name, name in PROBES)}


def test_nothing_is_shared_with_what_is_held_out(training: Sets, held_out: Sets) -> None:
    train = [e for examples in training.values() for e in examples]
    evaluation = [e for examples in held_out.values() for e in examples]
    for field in ("prompt", "context", "split_group"):
        one, other = ({getattr(e, field) for e in part} - {""} for part in (train, evaluation))
        assert one.isdisjoint(other)
    assert len({e.id for e in [*train, *evaluation]}) == len(train) + len(evaluation)


def test_a_world_that_is_too_small_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"probe-memory.* 500"):
        evaluation_sets(make_world(6, 0), 500, 0)


def test_values_and_names_are_distinct() -> None:
    values = [value for members in VALUES.values() for value in members]
    assert len(set(values)) == len(values) == 72
    assert len(set(NAMES)) == len(NAMES) == 96
    assert not set(values) & set(NAMES)


def test_reference_responses_have_the_best_scores(examples: list[Example]) -> None:
    ids: set[str] = set()
    judgements = PANEL.judge(examples, [e.response for e in examples])
    for example, judgement in zip(examples, judgements, strict=True):
        assert all(check_strict(example.response, example.instructions)), example
        assert bool(example.instructions) == (example.side != "CD")
        ids |= {instruction["id"] for instruction in example.instructions}
        assert judgement.task == 1.0, example
        if not example.is_completion:
            assert judgement.faithfulness == (None if example.side == "IF" else 1.0), example
            assert judgement.instruction == (None if example.side == "CD" else 1.0)
    assert ids == {"items", "alphabetical", "bullets", "includes", "excludes", "starts_with",
                   "ends_with", "sentences"}  # fmt: skip


def test_descriptions_are_no_copies_and_contradict_pretraining(examples: list[Example]) -> None:
    described = [e for e in examples if e.dataset in ("describe", "joint")]
    from_memory = []
    for example in described:
        facts = facts_in(example.response)
        assert facts <= facts_in(example.context)
        if example.dataset == "describe":
            assert not set(sentences(example.response)) & set(sentences(example.context))
        from_memory.append(" ".join(statement(n, a, BIG_WORLD[n][a], 0) for n, a, _ in facts))
    judgements = PANEL.judge(described, from_memory)
    assert {judgement.faithfulness for judgement in judgements} == {0.0}


@pytest.mark.parametrize("name", QUESTION_SETS)
def test_the_context_states_the_answer_and_no_other(examples: list[Example], name: str) -> None:
    for example in (e for e in examples if e.dataset == name):
        person, attribute = asked_for(example)
        values = {v for n, a, v in facts_in(example.context) if (n, a) == (person, attribute)}
        assert values == {example.response}
        assert example.parametric_answer == BIG_WORLD[person][attribute]
        assert (example.response == example.parametric_answer) == (name == "qa-agreeing")


def test_contexts_state_facts_other_than_those_of_pretraining(examples: list[Example]) -> None:
    for example in examples:
        if example.context and example.dataset != "probe-memory":
            assert len(facts_in(example.context)) == len(sentences(example.context))
        if example.dataset in ("qa-single", "describe", "joint", "probe-copy"):
            assert all(BIG_WORLD[n][a] != v for n, a, v in facts_in(example.context)), example


@pytest.mark.parametrize("name", ["probe-copy", "probe-memory"])
def test_a_probe_stops_before_its_answer(examples: list[Example], name: str) -> None:
    forms = [form for members in STATEMENTS.values() for form in members]
    for example in (e for e in examples if e.dataset == name):
        cue = example.prompt.rsplit("\n", 1)[-1]
        whole = {form.format(n=n, v=example.response) for form in forms for n in NAMES}
        facts = {read_fact(text) for text in whole if text.startswith(f"{cue} {example.response}")}
        assert {fact and fact[2] for fact in facts} == {example.response}
        assert (example.response == example.parametric_answer) == (name == "probe-memory")
        assert example.is_completion and example.is_probe
