"""Each instruction checker on responses that follow it and on responses that do not."""

import json
from typing import Any

import pytest

from reproduce.judges.checkers import CHECKERS
from reproduce.judges.instructions import bind, check_loose, check_strict

AT_LEAST, AT_MOST = {"relation": "at least"}, {"relation": "at most"}
# (id, arguments, responses that follow, responses that do not)
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("sentences", {"n": 2},
     ["One. Two!", "A\nB", "1. One.\n2. Two.", "..\nOne. Two.", 'He said "Stop." Then he left.',
      "**It rained.** We stayed in.", "It rained.[1] We stayed in.", "(It rained.) We stayed in.",
      "it rained. we stayed in.", "IT RAINED! WE STAYED.", "易北河很长。我们留下。",
      "هل تمطر؟ نعم.",
      "“It rained.” We stayed in.", "Mr. Ott, e.g., left at 5 p.m. and slept. Dr. Lee stayed."],
     ["One.", "One. Two. Three.", "Dr. Lee met Mrs. Ott at noon.", "Well... maybe tomorrow.",
      "Bring fruit, e.g. apples or pears.", "J. R. Smith lives in the U.S. South.",
      "It has 3.5 km (ca. 2 miles) to go."]),
    ("sentences", {"n": 2, **AT_LEAST}, ["One. Two.", "One. Two. Three."], ["One."]),
    ("sentences", {"n": 2, **AT_MOST}, ["One.", "One. Two."], ["One. Two. Three."]),
    ("words", {"n": 3}, ["don't stop now", "a - b c!"], ["one two", "a b c d"]),
    ("words", {"n": 2, **AT_LEAST}, ["a b", "a b c"], ["well-known"]),
    ("words", {"n": 2, **AT_MOST}, ["a", "a b"], ["a b c"]),
    ("words", {"n": 2, "relation": "less than"}, ["a"], ["a b"]),
    ("items", {"n": 3},
     ["red, blue, green.", "- red\n- blue\n\n- green", "* a\n* b\n* c", "a, b, and c"],
     ["red, blue", "red\nblue\ngreen", "Here:\n- a\n- b\n- c", "a, b,,", "a, b and c"]),
    ("items", {"n": 1}, ["red.", "- red, blue"], ["red, blue"]),
    ("bullets", {}, ["- a", "* a\n\n- b", "-a", "• a"],
     ["a", "- a\nb", "- ", "---", "**Bold** text", "Here:\n- a"]),
    ("bullets", {"n": 2},
     ["- a\n- b", "- a long item that goes\n  on here\n- b", "- a\u2028c\n- b", "- a\fc\n- b"],
     ["- a", "- a\n- b\n- c", "- a\n  - b\n- c"]),
    ("bullets", {"n": 2, "mark": "-"}, ["- a\n- b"], ["* a\n* b", "- a\n* b", "• a\n• b"]),
    ("numbered", {}, ["1. a", "1. a\n\n2. b", "1) a", "1. a\n   and more\n2. b"],
     ["a", "2. a", "1. a\n3. b", "1. a\nb"]),
    ("numbered", {"n": 2}, ["1. a\n2. b", "1) a\n2) b"],
     ["1. a", "2. a\n1. b", "9" * 5000 + ". a\n2. b"]),
    ("starts_with", {"phrase": "Dear Sir"},
     ["Dear Sir, hi", " dear  sir", '"Dear Sir, hi"', "**Dear Sir**", "“Dear Sir”", "_Dear Sir_"],
     ["Dear Sirs", "Oh Dear Sir"]),
    ("starts_with", {"phrase": "Don't"}, ["Don’t go."], ["Do not go."]),
    ("ends_with", {"phrase": "The end."},
     ["It is the end! \n", "the end", '"It is over. The end."', "**The end.**", "… the end…"],
     ["The end is near", "bend", "the end of it"]),
    ("ends_with", {"phrase": "a a"}, ["a a a"], ["a b"]),
    ("ends_with", {"phrase": "?"}, ["Why? "], ["Why"]),
    ("ends_with", {"phrase": "”"}, ["“Why?”", '"Why?"'], ["Why?"]),
    ("includes", {"words": ["cat", "big dog"]}, ["A Cat; a BIG\ndog."],
     ["cats, big dog", "cat, dog big"]),
    ("includes", {"words": ["river"]}, ["The _river_ is wide.", "**river**", "river_bank"],
     ["rivers", "riverbank"]),
    ("includes", {"words": ["don’t"]}, ["I don't."], ["I do."]),
    ("includes", {"words": ["café"]}, ["A cafe\u0301.", "Un café"], ["A cafe."]),
    ("excludes", {"words": ["very"]}, ["every", "a verily"], ["It is _very_ wide.", "very"]),
    ("includes", {"words": ["C++"]}, ["I like C++."], ["I like C."]),
    ("excludes", {"words": ["cat", "dog"]}, ["cats", "hotdogs"], ["a CAT", "cat dog"]),
    ("frequency", {"word": "cat", "n": 2}, ["Cat cat cats"], ["cat", "cat cat cat"]),
    ("frequency", {"word": "cat", "n": 2, **AT_LEAST}, ["cat cat cat"], ["cat"]),
    ("frequency", {"word": "cat", "n": 0}, ["dog"], ["cat"]),
    ("alphabetical", {}, ["ant, Bee, cat.", "- a\n- b", "a, a"], ["b, a", "- b\n- a", "a", "a\nb"]),
    ("lowercase", {}, ["all low 1!", "12", "易北河"], ["One up"]),
    ("uppercase", {}, ["ALL UP 1!", "12", "STRASSE"], ["ONE LOw", "ß"]),
    ("no_comma", {}, ["a; b", "a · b"], ["a, b", "红，蓝", "红、蓝", "أحمر، أزرق"]),
    ("quoted", {}, [' "hi" ', "“It rained.”", "„Es regnet.“", "«Il pleut.»"],
     ['"Yes" he said "No"', "“a” and “b”", "hi", '"hi', 'hi"', '"', '""', '"hi".']),
    ("paragraphs", {"n": 2}, ["a\n\nb", "a\nb\n \n\nc\n\n"], ["a\nb", "a\n\nb\n\nc"]),
    ("title", {}, ["<<A title>>\ntext"], ["<A title>", "<<>>", "<< >>", "<<a\nb>>"]),
    ("json", {}, ['{"a": [1, null]}', '```json\n{"a": 1}\n```', "```\n[1]```", " 1 "],
     ["{'a': 1}", "{“a”: 1}", "[]", "hi", '{"a": 1} done', "NaN", "```json\nhi\n```",
      "[" * 100_000]),
    ("placeholders", {"n": 2}, ["[a] to [b c]", "[a][b][c]"], ["[a]", "[] [ ]", "[a] [b"]),
    ("highlights", {"n": 2}, ["*a* and *b c*", "**a** *b*", "***a*** **b**"],
     ["*a*", "* a\n* b\n* c", "2 * 3 * 4 * 5", "** **"]),
    ("postscript", {}, ["Hi.\n\nP.S. Bye", "Hi. p.s. bye"], ["Hi", "Hi. P.S.", "P.S. \n"]),
    ("postscript", {"marker": "P.P.S"}, ["P.P.S. Bye"], ["P.S. Bye"]),
]  # fmt: skip
INSTRUCTIONS = [{"id": name, **arguments} for name, arguments, *_ in CASES]
RESPONSES = [
    ({"id": name, **arguments}, response, follows)
    for name, arguments, *sides in CASES
    for follows, responses in zip((True, False), sides, strict=True)
    for response in responses
]


def short(value: object) -> str:
    return str(value)[:30]


@pytest.mark.parametrize(("instruction", "response", "follows"), RESPONSES, ids=short)
def test_checkers(instruction: dict[str, Any], response: str, follows: bool) -> None:
    # As JSON, because that is how instructions are stored.
    stored = json.loads(json.dumps(instruction))
    assert check_strict(response, [stored]) == [follows]


def test_every_checker_has_a_case() -> None:
    assert {name for name, *_ in CASES} == set(CHECKERS)


@pytest.mark.parametrize("response", ["", " \n\t ", ".", "\u200b", "\ufeff", "🙂", "_", "…"])
def test_an_empty_response_follows_nothing(response: str) -> None:
    instructions = [*INSTRUCTIONS, {"id": "words", "n": 0}, {"id": "words", "n": 9, **AT_MOST}]
    for check in (check_strict, check_loose):
        assert check(response, instructions) == [False] * len(instructions)


def test_several_instructions_keep_their_order() -> None:
    instructions = [{"id": "lowercase"}, {"id": "uppercase"}, {"id": "no_comma"}]
    assert check_strict("low", instructions) == [True, False, True]
    assert check_strict("low", []) == check_loose("low", []) == []


LOWER = {"id": "lowercase"}
END = {"id": "ends_with", "phrase": "bye"}
START = {"id": "starts_with", "phrase": "hi"}


@pytest.mark.parametrize(
    ("response", "instruction", "follows"),
    [
        ("as it is", LOWER, True),
        ("Sure!\nall low", LOWER, True),
        ("all low\nDone", LOWER, True),
        ("Sure!\nall low\nDone", LOWER, True),
        ("**hi** there", START, True),
        ("Sure!\n*hi* there", START, True),
        ("say *bye*\nDone", END, True),
        ("Sure!\n*hi* there\nDone", {"id": "words", "n": 2}, True),
        ("Sure!\nHere:\nall low", LOWER, False),
        ("*Hello* there", START, False),
        # Nothing is left of a single line, and an empty response follows no instruction.
        ("one, two", {"id": "no_comma"}, False),
    ],
)
def test_loose_variants(response: str, instruction: dict[str, Any], follows: bool) -> None:
    assert check_loose(response, [instruction]) == [follows]


def test_none_counts_as_absent() -> None:
    padded = {"id": "bullets", "n": None, "words": None, "relation": None}
    assert check_strict("- a", [padded]) == [True]


@pytest.mark.parametrize(
    ("instruction", "parts"),
    [
        ({"id": "wrods", "n": 3}, ["'wrods'", "sentences, words"]),
        ({"n": 3}, ["None"]),
        ({"id": ["words"]}, ["['words']"]),
        ({"id": "words"}, ["'words'", "'n'", "n: int"]),
        ({"id": "words", "n": 3, "m": 1}, ["'m'", "n: int, relation"]),
        ({"id": "title", "n": 3}, ["'n'", "no argument"]),
        ({"id": "words", "n": "3"}, ["n ", "from 0", "'3'"]),
        ({"id": "words", "n": True}, ["n ", "from 0", "True"]),
        ({"id": "words", "n": 2.0}, ["n ", "from 0", "2.0"]),
        ({"id": "words", "n": 2, "relation": "over"}, ["relation", "'at least', 'at most'"]),
        ({"id": "includes", "words": "cat"}, ["words", "list", "'cat'"]),
        ({"id": "includes", "words": []}, ["words", "list", "[]"]),
        ({"id": "excludes", "words": ["a", " "]}, ["words", "list", "' '"]),
        ({"id": "starts_with", "phrase": ""}, ["phrase", "''"]),
        ({"id": "frequency", "word": 3, "n": 1}, ["word", "3"]),
        ({"id": "postscript", "marker": " "}, ["marker", "' '"]),
    ],
)
def test_an_error_says_what_is_allowed(instruction: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValueError) as raised:
        bind(instruction)
    assert all(part in str(raised.value) for part in parts)


ODD = ("<<" + "a" * 50_000, "[" * 50_000, " " * 50_000 + "a", "*" * 50_000, "." * 50_000 + "a",
       "a. " * 20_000, "\n" * 50_000 + "a")  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=short)
def test_long_odd_texts_are_checked_in_linear_time(text: str) -> None:
    # What is quadratic takes minutes here.
    for instruction in INSTRUCTIONS:
        check_loose(text, [instruction])
