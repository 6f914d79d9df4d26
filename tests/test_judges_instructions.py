"""Each instruction checker on responses that follow it and on responses that do not."""

import inspect
import json
from typing import Any

import pytest

from reproduce.judges.instructions import _ARGUMENTS, CHECKERS, RELATIONS, follow, loose, validate

# (id, arguments, responses that follow, responses that do not)
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "sentences",
        {"n": 2},
        ["One. Two!", "A\nB", "1. One.\n2. Two.", "..\nA. B."],
        ["One.", "A. B. C."],
    ),
    ("sentences", {"n": 2, "relation": "at least"}, ["A. B.", "A. B. C."], ["A."]),
    ("sentences", {"n": 2, "relation": "at most"}, ["A.", "A. B."], ["A. B. C."]),
    ("words", {"n": 3}, ["don't stop now", "a - b c!"], ["one two", "a b c d"]),
    ("words", {"n": 2, "relation": "at least"}, ["a b", "a b c"], ["well-known"]),
    ("words", {"n": 2, "relation": "at most"}, ["a", "a b"], ["a b c"]),
    (
        "items",
        {"n": 3},
        ["red, blue, green.", "- red\n- blue\n\n- green", "* a\n* b\n* c", "a, b, and c"],
        ["red, blue", "red\nblue\ngreen", "Here:\n- a\n- b\n- c", "a, b,,", "a, b and c"],
    ),
    ("items", {"n": 1}, ["red.", "- red, blue"], ["red, blue"]),
    ("bullets", {}, ["- a", "* a\n\n- b"], ["a", "- a\nb", "-a", "- "]),
    ("bullets", {"n": 2}, ["- a\n- b"], ["- a", "- a\n- b\n- c"]),
    ("numbered", {}, ["1. a", "1. a\n\n2. b"], ["a", "2. a", "1. a\n3. b", "1. a\nb", "1) a"]),
    ("numbered", {"n": 2}, ["1. a\n2. b"], ["1. a", "2. a\n1. b", "9" * 5000 + ". a\n2. b"]),
    (
        "starts_with",
        {"phrase": "Dear Sir"},
        ["Dear Sir, hi", " dear  sir"],
        ["Dear Sirs", "Oh Dear Sir"],
    ),
    (
        "ends_with",
        {"phrase": "The end."},
        ["It is the end! \n", "the end"],
        ["The end is near", "bend", "the end.."],
    ),
    ("ends_with", {"phrase": "a a"}, ["a a a"], ["a b"]),
    ("ends_with", {"phrase": "?"}, ["Why? "], ["Why"]),
    (
        "includes",
        {"words": ["cat", "big dog"]},
        ["A Cat; a BIG\ndog."],
        ["cats, big dog", "cat, dog big"],
    ),
    ("includes", {"words": ["C++"]}, ["I like C++."], ["I like C."]),
    ("excludes", {"words": ["cat", "dog"]}, ["cats", "hotdogs"], ["a CAT", "cat dog"]),
    ("frequency", {"word": "cat", "n": 2}, ["Cat cat cats"], ["cat", "cat cat cat"]),
    ("frequency", {"word": "cat", "n": 2, "relation": "at least"}, ["cat cat cat"], ["cat"]),
    ("frequency", {"word": "cat", "n": 0}, ["dog"], ["cat"]),
    ("alphabetical", {}, ["ant, Bee, cat.", "- a\n- b", "a, a"], ["b, a", "- b\n- a", "a", "a\nb"]),
    ("lowercase", {}, ["all low 1!"], ["One up", "12"]),
    ("uppercase", {}, ["ALL UP 1!"], ["ONE LOw", "12"]),
    ("no_comma", {}, ["a; b"], ["a, b"]),
    ("quoted", {}, [' "hi" '], ["hi", '"hi', 'hi"', '"', '""', '"hi".']),
    ("paragraphs", {"n": 2}, ["a\n\nb", "a\nb\n \n\nc\n\n"], ["a\nb", "a\n\nb\n\nc"]),
    ("title", {}, ["<<A title>>\ntext"], ["<A title>", "<<>>", "<< >>", "<<a\nb>>"]),
    (
        "json",
        {},
        ['{"a": [1, null]}', '```json\n{"a": 1}\n```', "```\n[]```", " 1 "],
        ["{'a': 1}", "hi", '{"a": 1} done', "NaN", "```json\nhi\n```", "[" * 100_000],
    ),
    ("placeholders", {"n": 2}, ["[a] to [b c]", "[a][b][c]"], ["[a]", "[] [ ]", "[a] [b"]),
    (
        "highlights",
        {"n": 2},
        ["*a* and *b c*", "**a** *b*"],
        ["*a*", "* a\n* b\n* c", "2 * 3 * 4 * 5", "** **"],
    ),
    ("postscript", {}, ["Hi.\n\nP.S. Bye", "Hi. p.s. bye"], ["Hi", "Hi. P.S.", "P.S. \n"]),
    ("postscript", {"marker": "P.P.S"}, ["P.P.S. Bye"], ["P.S. Bye"]),
]

PASSES = [(name, arguments, text) for name, arguments, good, _ in CASES for text in good]
FAILURES = [(name, arguments, text) for name, arguments, _, bad in CASES for text in bad]


def _shown(value: object) -> str:
    return str(value)[:30]


@pytest.mark.parametrize(("name", "arguments", "response"), PASSES, ids=_shown)
def test_follows(name: str, arguments: dict[str, Any], response: str) -> None:
    assert follow(response, [{"id": name, **arguments}]) == [True]


@pytest.mark.parametrize(("name", "arguments", "response"), FAILURES, ids=_shown)
def test_does_not_follow(name: str, arguments: dict[str, Any], response: str) -> None:
    assert follow(response, [{"id": name, **arguments}]) == [False]


def test_every_checker_has_a_case_and_known_arguments() -> None:
    assert {name for name, *_ in CASES} == set(CHECKERS)
    for checker in CHECKERS.values():
        assert set(list(inspect.signature(checker).parameters)[1:]) <= set(_ARGUMENTS)


@pytest.mark.parametrize("response", ["", " \n\t "])
def test_empty_response_follows_nothing(response: str) -> None:
    instructions = [{"id": name, **arguments} for name, arguments, *_ in CASES]
    instructions += [{"id": "words", "n": 0}, {"id": "words", "n": 9, "relation": "at most"}]
    nothing = [False] * len(instructions)
    assert follow(response, instructions) == nothing
    assert loose(response, instructions) == nothing


def test_several_instructions_keep_their_order() -> None:
    instructions = [{"id": "lowercase"}, {"id": "uppercase"}, {"id": "no_comma"}]
    assert follow("low", instructions) == [True, False, True]
    assert follow("low", []) == loose("low", []) == []


LOWER = {"id": "lowercase"}
END = {"id": "ends_with", "phrase": "bye"}
START = {"id": "starts_with", "phrase": "hi"}


@pytest.mark.parametrize(
    ("response", "instruction"),
    [
        ("as it is", LOWER),
        ("Sure!\nall low", LOWER),
        ("all low\nDone", LOWER),
        ("Sure!\nall low\nDone", LOWER),
        ("**hi** there", START),
        ("Sure!\n*hi* there", START),
        ("say *bye*\nDone", END),
        ("Sure!\n*hi* there\nDone", {"id": "words", "n": 2}),
    ],
)
def test_loose_forgives(response: str, instruction: dict[str, Any]) -> None:
    assert loose(response, [instruction]) == [True]


@pytest.mark.parametrize(
    ("response", "instruction"),
    [
        ("Sure!\nHere:\nall low", LOWER),
        ("*Hello* there", START),
        # Nothing is left of a single line, and nothing follows no instruction.
        ("one, two", {"id": "no_comma"}),
    ],
)
def test_loose_does_not_forgive(response: str, instruction: dict[str, Any]) -> None:
    assert loose(response, [instruction]) == [False]


@pytest.mark.parametrize(("name", "arguments"), [case[:2] for case in CASES], ids=_shown)
def test_validate_accepts_after_a_json_round_trip(name: str, arguments: dict[str, Any]) -> None:
    validate(json.loads(json.dumps({"id": name, **arguments})))


def test_none_counts_as_absent() -> None:
    padded = {"id": "bullets", "n": None, "words": None, "relation": None}
    validate(padded)
    assert follow("- a", [padded]) == [True]


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ({"id": "wrods", "n": 3}, "unknown instruction id 'wrods'; known: sentences, words"),
        ({"n": 3}, "unknown instruction id None"),
        ({"id": ["words"]}, "unknown instruction id"),
        ({"id": "words"}, "'words': missing a required argument: 'n'; allowed: n: int"),
        ({"id": "words", "n": None}, "missing a required argument: 'n'"),
        ({"id": "words", "n": 3, "m": 1}, "'m'; allowed: n: int, relation"),
        ({"id": "title", "n": 3}, "'n'; allowed: no argument"),
        ({"id": "title", "response": "x"}, "'response'; allowed: no argument"),
        ({"id": "words", "n": "3"}, "n must be a whole number from 0, not '3'"),
        ({"id": "words", "n": True}, "n must be a whole number"),
        ({"id": "words", "n": -1}, "n must be a whole number"),
        ({"id": "words", "n": 2.0}, "n must be a whole number"),
        ({"id": "words", "n": 2, "relation": "over"}, "one of 'at least', 'at most', 'exactly'"),
        ({"id": "words", "n": 2, "relation": {}}, "relation must be one of"),
        ({"id": "includes", "words": "cat"}, "words must be a list of texts"),
        ({"id": "includes", "words": []}, "words must be a list of texts"),
        ({"id": "excludes", "words": ["a", " "]}, "words must be a list of texts"),
        ({"id": "starts_with", "phrase": ""}, "phrase must be a text that is not empty"),
        ({"id": "frequency", "word": 3, "n": 1}, "word must be a text"),
        ({"id": "postscript", "marker": " "}, "marker must be a text"),
    ],
)
def test_validate_says_what_is_allowed(instruction: dict[str, Any], message: str) -> None:
    for refuse in (validate, lambda each: follow("x", [each]), lambda each: loose("x", [each])):
        with pytest.raises(ValueError) as caught:
            refuse(instruction)
        assert message in str(caught.value)


def test_relations() -> None:
    assert [[RELATIONS[name](n, 2) for n in (1, 2, 3)] for name in RELATIONS] == [
        [False, True, True],
        [True, True, False],
        [False, True, False],
    ]
