"""The generated world: seeded, consistent with its judges, and in conflict with its memory."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from reproduce.judges.faithfulness import sentences
from reproduce.judges.instructions import follow
from reproduce.judges.judge import judge
from reproduce.schema import Example
from reproduce.world.build import PROBES, SIDES, TASKS, evaluation_sets, training_sets
from reproduce.world.corpus import pretraining_texts
from reproduce.world.entailment import read_fact, symbolic_entailment
from reproduce.world.people import (
    NAMES,
    QUESTIONS,
    STATEMENTS,
    VALUES,
    World,
    make_world,
    statement,
)

Sets = dict[str, list[Example]]
CD = ("qa-single", "qa-pair", "describe")
QA = ("qa-single", "qa-pair", "qa-agreeing")


CARRIERS = {"extractive": "entailed", "abstractive": "summac"}


def everything(seed: int) -> str:
    world = make_world(8, seed)
    held_out = evaluation_sets(world, 10, seed)
    train = training_sets(world, 10, seed, held_out)
    rows = [[asdict(e) for found in sets.values() for e in found] for sets in (held_out, train)]
    return json.dumps([world.memory, rows, pretraining_texts(world, 50, seed)])


def facts_of(text: str) -> set[tuple[str, str, str]]:
    return {fact for unit in sentences(text) if (fact := read_fact(unit))}


def asked(example: Example) -> tuple[str, str]:
    """Return the name and the attribute that a question asks for."""
    question = example.prompt.removeprefix(example.context).strip()
    found = [
        (name, attribute)
        for attribute, forms in QUESTIONS.items()
        for form in forms
        for name in NAMES
        if form.format(n=name) == question
    ]
    (only,) = found
    return only


@pytest.fixture(scope="module")
def all_examples() -> list[Example]:
    """Return many examples of another, larger world."""
    world = make_world(30, 5)
    held_out = evaluation_sets(world, 150, 5)
    train = training_sets(world, 150, 5, held_out)
    return [e for sets in (held_out, train) for found in sets.values() for e in found]


def test_the_same_seed_gives_the_same_bytes_and_another_others() -> None:
    assert everything(1) == everything(1)
    assert everything(1) != everything(2)


def test_sizes_and_kinds(training: Sets, held_out: Sets) -> None:
    assert {name: len(found) for name, found in training.items()} == dict.fromkeys(TASKS, 60)
    assert {n: len(e) for n, e in held_out.items()} == dict.fromkeys([*TASKS, *PROBES], 30)
    for name, found in held_out.items():
        assert {(e.dataset, e.probe) for e in found} == {(name, name in PROBES)}
    assert [s for s in ("CD", "IF") for e in training.values() if e[0].side == s] == (
        ["CD"] * 3 + ["IF"] * 3
    )


def test_training_does_not_depend_on_the_number_of_prompts_held_out(world: World) -> None:
    few, many = (evaluation_sets(world, size, 0) for size in (5, 20))
    assert all(many[name][:5] == few[name] for name in few)


def test_a_world_that_is_too_small_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"eval-probe-memory-0.*fewer than 500"):
        evaluation_sets(make_world(6, 0), 500, 0)


def test_values_and_names_are_distinct() -> None:
    values = [v for found in VALUES.values() for v in found]
    assert len(set(values)) == len(values) == 72
    assert len(set(NAMES)) == len(NAMES) == 96
    assert not set(values) & set(NAMES)


def test_gold_responses_follow_their_instructions(all_examples: list[Example]) -> None:
    seen: set[str] = set()
    for example in all_examples:
        assert all(follow(example.response, example.instructions)), example
        assert bool(example.instructions) == (example.side == "IF")
        seen |= {rule["id"] for rule in example.instructions}
    assert seen == {"items", "alphabetical", "bullets", "includes", "excludes", "starts_with",
                    "ends_with", "sentences"}  # fmt: skip


def test_an_empty_or_foreign_response_does_not_follow(training: Sets) -> None:
    for example in training["lists"]:
        assert not any(follow("", example.instructions))
        assert not all(follow("a, b, c, d, e, f", example.instructions))


def test_gold_responses_have_full_marks(all_examples: list[Example]) -> None:
    found = judge(all_examples, [e.response for e in all_examples], symbolic_entailment, CARRIERS)
    for example, marks in zip(all_examples, found, strict=True):
        assert marks.task == 1.0, example
        if example.raw:
            continue
        assert marks.faithfulness == (1.0 if example.side == "CD" else None), example
        assert marks.instruction == (None if example.side == "CD" else 1.0)
        if example.kind == "extractive":
            assert marks.details["exact_match"] == 1.0
        if example.kind == "abstractive":
            assert marks.details["summac"] == 1.0


def test_a_description_from_memory_is_contradicted(all_examples: list[Example]) -> None:
    memory = make_world(30, 5).memory
    examples = [e for e in all_examples if e.dataset == "describe"]
    remembered = [
        " ".join(statement(n, a, memory[n][a], 0) for u in sentences(e.response)
                 for n, a, _ in [read_fact(u) or ("", "", "")])
        for e in examples
    ]  # fmt: skip
    scores = [m.faithfulness for m in judge(examples, remembered, symbolic_entailment, CARRIERS)]
    assert scores == [-1.0] * len(examples)


def test_a_description_is_no_copy(all_examples: list[Example]) -> None:
    for example in all_examples:
        if example.dataset == "describe":
            assert not set(sentences(example.response)) & set(sentences(example.context))
            assert facts_of(example.response) < facts_of(example.context)


@pytest.mark.parametrize("name", QA)
def test_the_context_states_the_answer_and_no_other(all_examples: list[Example], name: str) -> None:
    for example in (e for e in all_examples if e.dataset == name):
        person, attribute = asked(example)
        stated = {v for n, a, v in facts_of(example.context) if (n, a) == (person, attribute)}
        assert stated == {example.response}
        assert (example.response == example.memory) == (name == "qa-agreeing")


def test_the_memory_of_a_question_is_the_remembered_value(all_examples: list[Example]) -> None:
    memory = make_world(30, 5).memory
    for example in (e for e in all_examples if e.dataset in QA):
        person, attribute = asked(example)
        assert example.memory == memory[person][attribute]


def test_no_context_but_the_agreeing_states_what_is_remembered(all_examples: list[Example]) -> None:
    memory = make_world(30, 5).memory
    for example in all_examples:
        if example.dataset in ("qa-single", "describe", "probe-copy"):
            assert all(memory[n][a] != v for n, a, v in facts_of(example.context)), example


def test_every_sentence_of_a_context_is_read(all_examples: list[Example]) -> None:
    for example in all_examples:
        if example.side == "CD" and example.dataset != "probe-memory":
            assert len(facts_of(example.context)) == len(sentences(example.context))


@pytest.mark.parametrize("name", ["probe-copy", "probe-memory"])
def test_a_probe_stops_before_its_answer(all_examples: list[Example], name: str) -> None:
    for example in (e for e in all_examples if e.dataset == name):
        last = sentences(f"{example.prompt} {example.response}.")[-1]
        fact = read_fact(last)
        if fact is None:  # A statement that goes on after the value.
            cue = example.prompt.rsplit("\n", 1)[-1]
            fact = next(
                read_fact(text)
                for forms in STATEMENTS.values()
                for form in forms
                for n in NAMES
                if (text := form.format(n=n, v=example.response)).startswith(f"{cue} ")
            )
        assert fact is not None and fact[2] == example.response
        assert (example.response == example.memory) == (name == "probe-memory")
        assert example.raw and example.probe


def test_nothing_is_shared_with_what_is_held_out(training: Sets, held_out: Sets) -> None:
    ours = [e for found in training.values() for e in found]
    theirs = [e for found in held_out.values() for e in found]
    for what in ("prompt", "context", "group"):
        assert not ({getattr(e, what) for e in ours} & {getattr(e, what) for e in theirs}) - {""}
    assert len({(e.dataset, e.prompt) for e in theirs}) == len(theirs)
    assert len({e.id for e in [*ours, *theirs]}) == len(ours) + len(theirs)


def test_texts_survive_the_tokenizer(tokenizer, texts: list[str]) -> None:
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text


def test_every_response_is_one_token_a_word_wherever_it_stands(tokenizer) -> None:
    for before in ("", "She owns a ", "x\n", "- "):
        ids = tokenizer(before + "cat", add_special_tokens=False)["input_ids"]
        alone = tokenizer("cat", add_special_tokens=False)["input_ids"]
        assert len(alone) == 1 and ids[-1:] == alone


def test_special_tokens_are_single_and_distinct(tokenizer) -> None:
    names = ["<pad>", "<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
    assert tokenizer.convert_tokens_to_ids(names) == list(range(6))
    ids = tokenizer("<s><|user|>cat<|assistant|>", add_special_tokens=False)["input_ids"]
    assert [ids[0], ids[1], ids[-1]] == [2, 4, 5] and len(ids) == 4


def test_the_corpus_tells_the_memory_and_other_things(world: World) -> None:
    told = [facts_of(text) for text in pretraining_texts(world, 2000, 3)]
    biographies = [f for f in told if f and all(world.memory[n][a] == v for n, a, v in f)]
    # 35 % biographies of four facts; a retelling of two agrees by chance once in 144 times.
    assert 0.30 < len(biographies) / 2000 < 0.40
    assert set().union(*biographies) == {
        (n, a, v) for n, facts in world.memory.items() for a, v in facts.items()
    }


def test_passages_are_told_again_in_any_order(world: World) -> None:
    """Where the order was the same, place was enough to restate, and questions went unanswered."""
    told = [text.split("\n") for text in pretraining_texts(world, 2000, 3)]
    halves = [[[read_fact(unit) for unit in sentences(half)] for half in pair] for pair in told]
    halves = [pair for pair in halves if len(pair) == 2]
    retold = [(a, b) for a, b in halves if all(a) and all(b) and len(a) > 3]
    assert len(retold) > 300
    assert all(sorted(a) == sorted(b) for a, b in retold)
    attributes = list(VALUES)
    places = [[attributes.index(fact[1]) for fact in b] for _, b in retold]
    assert sum(a == b for a, b in retold) < len(retold) / 10
    assert sum(found == sorted(found) for found in places) < len(retold) / 10


YES, NO, OPEN = [1, 0, 0], [0, 1, 0], [0, 0, 1]


@pytest.mark.parametrize(
    ("premise", "hypothesis", "expected"),
    [
        ("Anna owns a cat.", "Anna owns a cat.", YES),
        ("Anna owns a cat.", "The pet of Anna is a cat.", YES),
        ("Anna takes care of a cat every day.", "- Anna owns a cat.", YES),
        ("Anna owns a cat.", "Anna owns a dog.", NO),
        ("The home of Ben is in Rome.", "Ben lives in Oslo.", NO),
        ("Anna owns a cat.", "Ben owns a cat.", OPEN),
        ("Anna owns a cat.", "Ben owns a dog.", OPEN),
        ("Anna owns a cat.", "Anna lives in Rome.", OPEN),
        ("Anna owns a cat.", "Anna owns a whale.", OPEN),
        ("Anna owns a cat.", "Anna owns a cat", YES),
        ("Anna owns a cat.", "Which pet does Anna own? cat", YES),
        ("Anna owns a cat.", "Which pet does Anna own? dog.", NO),
        ("Anna owns a cat.", "Which pet does Ben own? cat", OPEN),
        ("Anna owns a cat.", "Which pet does Anna own? a cat", OPEN),
        ("Anna owns a cat.", "Which pet does Anna own? The pet of Anna is a cat.", YES),
        ("Anna owns a cat.", "Which pet does Anna own? Anna owns a dog.", NO),
        ("Anna owns a cat.", "Which pet does Anna own? Ben owns a cat.", OPEN),
        ("Anna owns a cat.", "I think Anna owns a cat.", OPEN),
        ("Anna owns a cat.", "Anna owns a cat. Ben owns a dog.", OPEN),
        ("Anna owns a cat.", "", OPEN),
        ("Once upon a time.", "Anna owns a cat.", OPEN),
    ],
)
def test_symbolic_entailment(premise: str, hypothesis: str, expected: list[int]) -> None:
    assert symbolic_entailment([(premise, hypothesis)]).tolist() == [expected]


def test_every_form_is_read_and_entails_every_other() -> None:
    for attribute, forms in STATEMENTS.items():
        for value in VALUES[attribute]:
            units = [statement("Yann", attribute, value, form) for form in range(len(forms))]
            assert {read_fact(unit) for unit in units} == {("Yann", attribute, value)}
            table = symbolic_entailment([(a, b) for a in units for b in units])
            assert np.array_equal(table, np.tile(YES, (9, 1)))


def test_the_sides_named_before_work_are_those_of_the_examples(training: Sets) -> None:
    assert {name: examples[0].side for name, examples in training.items()} == SIDES
