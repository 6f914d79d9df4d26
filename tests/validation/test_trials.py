"""Labelled pairs and trials: right ones are right, wrong ones are wrong, by hand and by rule."""

import random
from typing import Any

import pytest

from reproduce.judges.faithfulness import LABELS, question_of, sentences
from reproduce.judges.instructions import check_strict
from reproduce.schema import Example, Sets
from reproduce.validation.trials import (
    distractors,
    make_trials,
    negate,
    swap_entity,
    training_pairs,
    trivial_responses,
)
from reproduce.world.entailment import read_fact

PASSAGE = "The river rises in Norway. In 1904 the bridge was built by Anna Berg. It is long."


def question(
    text: str, answer: str, *more: str, context: str = PASSAGE, split_group: str = "a"
) -> Example:
    prompt = f"{context}\n\nQuestion: {text}"
    return Example(
        "qa", "extractive", prompt, answer, context, (answer, *more), split_group=split_group
    )


@pytest.fixture
def sets() -> Sets:
    """Return two questions on one passage, one on another, and a summary."""
    other = "The lake lies in Finland. It was drained in 1950 by the state."
    summary = "Anna Berg built the bridge in 1904."
    return {
        "qa": [
            question("Where does the river rise?", "Norway", "in Norway"),
            question("Who built the bridge?", "Anna Berg"),
            question("When was it drained?", "1950", context=other, split_group="b"),
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
    assert negate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It was built in 1910.", {"It was built in 1904."}),
        ("It was built by Carl.", {"It was built by Anna Berg.", "It was built by Norway."}),
        ("it was built", {None}),
        ("In 1904 it was built.", {None}),  # The passage has no other number.
    ],
)
def test_swaps_take_another_name_or_number_of_the_passage(
    text: str, expected: set[str | None]
) -> None:
    assert {swap_entity(text, PASSAGE, random.Random(n)) for n in range(20)} == expected


def test_distractors_are_other_answers_on_the_passage_that_share_no_word(sets: Sets) -> None:
    first, second, third = sets["qa"]
    assert distractors(sets["qa"]) == {
        first.id: ["Anna Berg"], second.id: ["Norway"], third.id: []
    }  # fmt: skip
    examples = [question("Who?", "Anna Berg", "Berg"), question("Whose?", "berg's"), first]
    assert distractors(examples)[examples[0].id] == ["Norway"]


def test_a_single_question_gets_distractors_from_all_answers_as_whole_words(sets: Sets) -> None:
    lonely = question("Where?", "the lake", context="The lake by Norway, 2010.", split_group="c")
    year = question("When?", "10", context="In 1905 it rained.", split_group="b")
    assert distractors([*sets["qa"], year, lonely])[lonely.id] == ["Norway"]


def test_training_pairs_take_premises_from_the_passage(sets: Sets) -> None:
    pairs = training_pairs(sets, 0)
    assert {pair.label for pair in pairs} == set(LABELS)
    units = {unit for name in ("qa", "sums") for e in sets[name] for unit in sentences(e.context)}
    assert {pair.premise for pair in pairs} <= units
    assert len(set(pairs)) == len(pairs)
    assert pairs == training_pairs(sets, 0) != training_pairs(sets, 1)


def test_right_answers_are_entailed_by_the_sentence_that_has_them(sets: Sets) -> None:
    labels = {(p.hypothesis, p.premise): p.label for p in training_pairs({"qa": sets["qa"]}, 0)}
    right = "Where does the river rise? Norway"
    assert labels[right, "The river rises in Norway."] == "entailment"
    assert all(label == "neutral" for (text, premise), label in labels.items()
               if text == right and "Norway" not in premise)  # fmt: skip
    wrong = "Where does the river rise? Anna Berg"
    assert labels[wrong, "The river rises in Norway."] == "contradiction"
    assert labels[wrong, "In 1904 the bridge was built by Anna Berg."] == "neutral"


def test_trials_have_one_right_response_and_wrong_ones(sets: Sets) -> None:
    trials = make_trials(sets, 10, 0)
    by_example: dict[str, dict[str, str]] = {}
    for trial in trials:
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
    for trial in make_trials(sets, 10, 0):
        others = [text for text in trial.example.references if text != trial.example.response]
        assert not others or trial.example.response not in trial.example.references


def test_trials_leave_out_probes_and_are_at_most_as_many_as_requested(held_out: Sets) -> None:
    trials = make_trials(held_out, 5, 0)
    right = [trial for trial in trials if trial.variant == "right"]
    assert not any(trial.example.is_probe for trial in trials)
    assert len(right) == 5 * len({trial.example.dataset for trial in trials}) == 5 * 7
    assert trials == make_trials(held_out, 5, 0)


def test_wrong_answers_of_the_synthetic_task_are_wrong(held_out: Sets) -> None:
    for trial in make_trials(held_out, 20, 0):
        example = trial.example
        if example.kind == "extractive":
            facts = {read_fact(unit) for unit in sentences(example.context)} - {None}
            question = question_of(example.prompt, example.context)
            is_right = read_fact(f"{question} {trial.response}") in facts
            assert is_right == (trial.variant == "right"), trial


def test_known_flaws_of_descriptions_are_wrong_responses(held_out: Sets) -> None:
    wrong = {t.example.id: t.response for t in make_trials(held_out, 30, 0)
             if t.variant == "same passage"}  # fmt: skip
    flawed = [e for name in ("describe", "joint") for e in held_out[name]
              if e.flaw in ("memory", "other value")]  # fmt: skip
    assert len(flawed) > 20
    assert {e.id: e.flawed_response for e in flawed}.items() <= wrong.items()


def test_trivial_responses_need_no_model(training: Sets, held_out: Sets) -> None:
    trials = trivial_responses(training, held_out)
    tasks = [e for members in held_out.values() for e in members if not e.is_probe]
    groups = {
        variant: [t for t in trials if t.variant == variant]
        for variant in ("best constant", "prompt", "first sentence", "memorised value")
    }
    assert sum(map(len, groups.values())) == len(trials)
    assert [t.example for t in groups["best constant"]] == tasks
    assert [t.example for t in groups["prompt"]] == [e for e in tasks if not e.context]
    assert [t.example for t in groups["first sentence"]] == [e for e in tasks if e.context]
    for trial in groups["first sentence"]:
        assert trial.response == sentences(trial.example.context)[0]
    questions = [e for e in tasks if e.kind == "extractive"]
    assert [t.response for t in groups["memorised value"]] == [
        e.parametric_answer for e in questions
    ]


def test_the_best_constant_follows_most_instructions_of_any_prompt() -> None:
    def asked(n: int, *instructions: dict[str, Any], response: str = "") -> Example:
        return Example("chat", "instruction", f"Why {n}?", response, instructions=instructions)

    long = {"id": "words", "n": 40, "relation": "at least"}
    listed = {"id": "bullets", "n": 3}
    short = {"id": "words", "n": 5, "relation": "at most"}
    special = {"id": "includes", "words": ["zebra"]}
    training = {"chat": [asked(9, special, response="A zebra.")]}
    for rules in ([long], [listed, {"id": "no_comma"}], [short, {"id": "quoted"}], [special]):
        trials = trivial_responses(training, {"chat": [asked(n, *rules) for n in range(3)]})
        constants = {t.response for t in trials if t.variant == "best constant"}
        assert len(constants) == 1 and all(check_strict(*constants, rules))
        assert {t.response for t in trials if t.variant == "prompt"} == {
            "Why 0?",
            "Why 1?",
            "Why 2?",
        }
