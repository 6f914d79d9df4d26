"""Labelled pairs and trials: right ones are right, wrong ones are wrong, by hand and by rule."""

import random

import pytest

from reproduce.judges.faithfulness import LABELS, question_of, sentences
from reproduce.judges.trials import (
    Trial,
    negated,
    rivals,
    swapped,
    training_pairs,
    trials,
)
from reproduce.schema import Example
from reproduce.world.entailment import read_fact

PASSAGE = "The river rises in Norway. In 1904 the bridge was built by Anna Berg. It is long."
Sets = dict[str, list[Example]]


def asked(example: Example) -> str:
    return question_of(example.prompt, example.context)


def question(
    text: str, answer: str, *more: str, context: str = PASSAGE, group: str = "a"
) -> Example:
    prompt = f"{context}\n\nQuestion: {text}"
    return Example("qa", "extractive", prompt, answer, context, (answer, *more), group=group)


@pytest.fixture
def sets() -> Sets:
    """Return two questions on one passage, one on another, and a summary."""
    other = "The lake lies in Finland. It was drained in 1950 by the state."
    summary = "Anna Berg built the bridge in 1904."
    return {
        "qa": [
            question("Where does the river rise?", "Norway", "in Norway"),
            question("Who built the bridge?", "Anna Berg"),
            question("When was it drained?", "1950", context=other, group="b"),
        ],
        "sums": [
            Example("sums", "abstractive", PASSAGE, summary, PASSAGE, (summary, "A bridge.")),
        ],
        "chat": [
            Example("chat", "instruction", "Say hi.", "hi"),
            Example("chat", "instruction", "Say no.", "no"),
        ],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The bridge was built.", "The bridge was not built."),
        ("They can and will go.", "They can not and will go."),
        ("Norway", "not Norway"),
    ],
)
def test_negation(text: str, expected: str) -> None:
    assert negated(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It was built in 1910.", {"It was built in 1904."}),
        ("It was built by Carl.", {"It was built by Anna Berg.", "It was built by Norway."}),
        ("it was built", set()),
        ("In 1904 it was built.", set()),  # The passage has no other number.
    ],
)
def test_swaps_take_another_name_or_number_of_the_passage(text: str, expected: set[str]) -> None:
    found = {swapped(text, PASSAGE, random.Random(n)) for n in range(20)}
    assert found == (expected or {None})


def test_rivals_are_other_answers_on_the_passage(sets: Sets) -> None:
    first, second, third = sets["qa"]
    found = rivals(sets["qa"])
    assert found[first.id] == ["Anna Berg"] and found[second.id] == ["Norway"]
    assert found[third.id] == []


def test_a_rival_shares_no_word_with_a_right_answer() -> None:
    examples = [question("Who?", "Anna Berg", "Berg"), question("Whose?", "berg's"),
                question("Where?", "Norway")]  # fmt: skip
    assert rivals(examples)[examples[0].id] == ["Norway"]


def test_a_rival_stands_in_the_passage_as_whole_words() -> None:
    year = question("When?", "10", context="In 1905 it rained.", group="b")
    lonely = question("Where?", "the lake", context="The lake of 2010.", group="c")
    assert rivals([year, lonely])[lonely.id] == []


def test_a_single_question_finds_rivals_among_all_answers(sets: Sets) -> None:
    lonely = question("Where?", "the lake", context="The lake by Norway.", group="c")
    assert rivals([*sets["qa"], lonely])[lonely.id] == ["Norway"]


def test_training_pairs_take_premises_from_the_passage(sets: Sets) -> None:
    found = training_pairs(sets, 0)
    assert {pair.label for pair in found} == set(LABELS)
    units = {unit for name in ("qa", "sums") for e in sets[name] for unit in sentences(e.context)}
    assert {pair.premise for pair in found} <= units
    assert len(set(found)) == len(found)
    assert found == training_pairs(sets, 0) != training_pairs(sets, 1)


def test_right_answers_are_entailed_by_the_sentence_that_has_them(sets: Sets) -> None:
    found = {(p.hypothesis, p.premise): p.label for p in training_pairs({"qa": sets["qa"]}, 0)}
    right = "Where does the river rise? Norway"
    assert found[right, "The river rises in Norway."] == "entailment"
    assert all(label == "neutral" for (text, premise), label in found.items()
               if text == right and "Norway" not in premise)  # fmt: skip
    wrong = "Where does the river rise? Anna Berg"
    assert found[wrong, "The river rises in Norway."] == "contradiction"
    assert found[wrong, "In 1904 the bridge was built by Anna Berg."] == "neutral"


def test_trials_have_one_right_response_and_wrong_ones(sets: Sets) -> None:
    found = trials(sets, 10, 0)
    by_example: dict[str, dict[str, str]] = {}
    for trial in found:
        assert trial.variant in ("right", "same passage", "other passage", "negated")
        by_example.setdefault(trial.example.id, {})[trial.variant] = trial.response
    for examples in sets.values():
        for example in examples:
            assert by_example[example.id].pop("right") == example.response
            assert example.response not in by_example[example.id].values()
    assert by_example[sets["qa"][0].id]["same passage"] == "Anna Berg"
    assert by_example[sets["qa"][0].id]["other passage"] == "1950"
    assert set(by_example[sets["chat"][0].id]) == {"other passage"}


def test_a_right_response_is_not_compared_with_itself(sets: Sets) -> None:
    for trial in trials(sets, 10, 0):
        others = [text for text in trial.example.references if text != trial.example.response]
        assert not others or trial.example.response not in trial.example.references


def test_trials_leave_out_probes_and_are_at_most_as_many_as_asked(held_out: Sets) -> None:
    found = trials(held_out, 5, 0)
    right = [trial for trial in found if trial.variant == "right"]
    assert not any(trial.example.probe for trial in found)
    assert len(right) == 5 * len({trial.example.dataset for trial in found}) == 5 * 6
    assert found == trials(held_out, 5, 0)


def test_wrong_answers_of_the_world_are_wrong(held_out: Sets) -> None:
    def stated(trial: Trial) -> bool:
        facts = {read_fact(unit) for unit in sentences(trial.example.context)}
        return read_fact(f"{asked(trial.example)} {trial.response}") in facts - {None}

    for trial in trials(held_out, 20, 0):
        if trial.example.kind == "extractive":
            assert stated(trial) == (trial.variant == "right"), trial
