"""Each instruction checker on responses that follow it and on responses that do not."""

import json
import os
from typing import Any

import pytest

from reproduce.download import fetch
from reproduce.judges.checkers import CHECKERS
from reproduce.judges.instructions import bind, check_loose, check_strict

AT_LEAST, AT_MOST = {"relation": "at least"}, {"relation": "at most"}
LESS = {"relation": "less than"}
PROMPT = "Name a river, please."
GERMAN = "Der Fluss ist breit und das Wasser ist kalt."
HINDI = "नदी बहुत चौड़ी है और पानी ठंडा है।"
SWAHILI = "Mto ni mpana sana na maji ni baridi."
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
    ("alphabetical", {}, ["ant, Bee, cat.", "- a\n- b", "a, a"], ["b, a", "- b\n- a", "a", "a\nb"]),
    ("lowercase", {}, ["all low 1!", "12", "易北河"], ["One up"]),
    ("uppercase", {}, ["ALL UP 1!", "12", "STRASSE"], ["ONE LOw", "ß"]),
    ("no_comma", {}, ["a; b", "a · b"], ["a, b", "红，蓝", "红、蓝", "أحمر، أزرق"]),
    ("quoted", {}, [' "hi" ', "“It rained.”", "„Es regnet.“", "«Il pleut.»"],
     ['"Yes" he said "No"', "“a” and “b”", "hi", '"hi', 'hi"', '"', '""', '"hi".']),
    ("keywords:existence", {"keywords": ["river", "don’t"]},
     ["Rivers don't end.", "RIVERBANK; I DON’T"], ["A river.", "Don't."]),
    ("keywords:frequency", {"keyword": "cat", "frequency": 2, **AT_LEAST},
     ["Cat, cats", "concatenate a CAT"], ["cat", "dog"]),
    ("keywords:frequency", {"keyword": "cat", "frequency": 2, **LESS}, ["cat", "dog"],
     ["cat cat", "Cat cats"]),
    ("keywords:forbidden_words", {"forbidden_words": ["can", "be"]}, ["candy", "A bee. Cans."],
     ["I can!", "To Be", "It _can_ go."]),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": "at least"},
     ["Queen q", "qq"], ["queen", "a"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 1, "let_relation": "less than"},
     ["a", "é"], ["#a", "a##"]),
    ("language:response_language", {"language": "de"}, [GERMAN, GERMAN.upper(), "Ja, gerne."],
     ["The river is wide.", SWAHILI, "12, 34", "I"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, **AT_LEAST},
     ["One. Two!", "One\nTwo"], ["Dr. Lee met Mrs. Ott.", "1. One."]),
    ("length_constraints:number_sentences", {"num_sentences": 2, **LESS},
     ["Dr. Lee met Mrs. Ott."], ["One. Two!", "易北河很长。我们留下。"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["a\n***\nb", "***\na\n\nb *** c\n***"], ["a\n\nb", "a *** b *** c", "a *** *** b"]),
    ("length_constraints:number_words", {"num_words": 3, **AT_LEAST},
     ["Don't stop", "well-known – so"], ["one two", "– one – two –"]),
    ("length_constraints:number_words", {"num_words": 3, **LESS}, ["one two", "é, ü"],
     ["Don’t stop", "a b c"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Elm"},
     ["One.\n\nELM, a tree", 'One.\n\n"Elm\'s"', "One\nline.\n\n\n \nelm"],
     ["Elm\n\nOne.", "One.\n\nElms", "One.\n\nElm\n\nTwo.", "One.\n\n", "Elm"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "elm"}, [], ["elm", "a\n\nelm"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2},
     ["[a] [b c]", "[a][b][ö]"], ["[a]", "[] [ ] [a]", "[a] [b"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."},
     ["Hi. p.s. bye", "Hi.\n\nP. S. bye"], ["Hi. PS bye", "Hi. P.S."]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"},
     ["P.P.S. bye", "p. p. s: bye"], ["P.S. bye", "P.P.S"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["Here:\n* a\n* b\nEnd.", "- a\n  - b\n---", "-a\n**Bold**\n* *b*"],
     ["* a", "- a\n- b\n* c", "• a\n• b", "*a*\n*b*"]),
    ("detectable_format:constrained_response", {}, ["My answer is yes.", "**My answer is maybe.**"],
     ["my answer is yes.", "My answer is yes", "Yes."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*a* and **b c**", "***a*** *é*"],
     ["*a*", "* a\n* b\n* c", "2 * 3 * 4 * 5", "** ** *a*"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     ["Section 1\na\nSection 2\nb", "**Section1** Section 10 Section 3"],
     ["SECTION 1 SECTION 2", "Section one Section two", "Section 1"]),
    ("detectable_format:multiple_sections", {"section_spliter": "(Day)", "num_sections": 1},
     ["(Day) 1", "(Day)2"], ["Day 1", "(day) 1"]),
    ("detectable_format:json_format", {},
     ['{"a": "“"}', '```JSON\n{"a": [1, null]}\n```', "```\n[1]```", " 1 "],
     ["{'a': 1}", "{“a”: 1}", "[]", "hi", '{"a": 1} done', 'Here: {"a": 1}', "NaN",
      "```json\nhi\n```", "[" * 100_000]),
    ("detectable_format:title", {}, ["<<Ode>>\nO river", "a <<b>>"],
     ["<Ode>", "<<>> a", "<< >> a", "<<a\nb>>"]),
    ("combination:two_responses", {}, ["a ****** b", "******\na\n******\nA\n******"],
     ["a", "a ****** a", "a ****** b ****** c", "a ****** ****** b", "a *** b"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": f"{PROMPT} "},
     [f"{PROMPT}\nThe Elbe.", PROMPT.upper(), f"\n{PROMPT}"],
     ["The Elbe.", f"Sure! {PROMPT}", "Name a river please.", f'"{PROMPT}"']),
    ("startend:end_checker", {"end_phrase": "Don't you agree?"},
     ["Yes. Don’t you agree?", '"Yes. DON\'T YOU AGREE?"\n'],
     ["Don't you agree", "Don't you agree? Yes.", "Do not you agree?"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     ["A WELL-KNOWN fact", "the U.S. and ÄÖ"], ["One Two", "WELL-KNOWN", "DON'T", "1 2"]),
    ("change_case:capital_word_frequency",
     {"capital_frequency": 1, "capital_relation": "less than"}, ["One two", "I'm"], ["I am", "NO"]),
    ("change_case:english_capital", {}, ["THE RIVER IS WIDE.", "WE HAVE 3 CATS!"],
     ["The river is wide.", GERMAN.upper(), "12", "THE RIVER IS wIDE"]),
    ("change_case:english_lowercase", {}, ["the river is wide.", "we have 3 cats!"],
     ["The river is wide.", GERMAN.lower(), "12", HINDI]),
    ("punctuation:no_comma", {}, ["a; b", "a."], ["a, b", "红，蓝", "أحمر، أزرق"]),
    ("startend:quotation", {}, ['"Yes" he said "No"', "“It rained.”", ' "a" '],
     ['"a', 'a"', "'a'", '"a".']),
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


def test_all_types_of_ifeval_have_at_least_two_cases_of_each_kind() -> None:
    ifeval = {name for name in CHECKERS if ":" in name}
    assert len(ifeval) == 25
    for name in ifeval:
        follows = [case for instruction, _, case in RESPONSES if instruction["id"] == name]
        assert follows.count(True) >= 2 and follows.count(False) >= 2, name


@pytest.mark.parametrize("response", ["", " \n\t ", ".", "\u200b", "\ufeff", "🙂", "_", "…",
                                      "***", '""', "[]"])  # fmt: skip
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
        ("Sure!\nsay *bye*\nDone", {"id": "startend:end_checker", "end_phrase": "bye"}, True),
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
        ({"id": "words"}, ["'words'", "n: Missing", "n, relation"]),
        ({"id": "words", "n": 3, "m": 1}, ["'words'", "m: Unexpected", "n, relation"]),
        ({"id": "lowercase", "n": 3}, ["'lowercase'", "n: Unexpected", "none"]),
        ({"id": "words", "n": "3"}, ["'n': '3'", "valid integer"]),
        ({"id": "words", "n": -1}, ["'n': -1", "or equal to 0"]),
        ({"id": "words", "n": 2, "relation": "over"}, ["relation", "'at least', 'at most'"]),
        ({"id": "bullets", "mark": "+"}, ["mark", "'-' or '*'"]),
        ({"id": "includes", "words": "cat"}, ["words", "list", "'cat'"]),
        ({"id": "includes", "words": []}, ["words", "at least 1 item"]),
        ({"id": "excludes", "words": ["a", " "]}, ["words", "at least 1 character"]),
        ({"id": "length_constraints:number_paragraphs", "num_paragraphs": 0}, ["or equal to 1"]),
        ({"id": "language:response_language", "language": "xx"}, ["language", "'de', 'en'"]),
        ({"id": "keywords:letter_frequency", "letter": "ab", "let_frequency": 1,
          "let_relation": "at least"}, ["letter", "at most 1 character"]),
    ],
)  # fmt: skip
def test_an_error_says_what_is_allowed(instruction: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValueError) as raised:
        bind(instruction)
    assert all(part in str(raised.value) for part in parts)


ODD = ("<<" + "a" * 50_000, "[" * 50_000, " " * 50_000 + "a", "*" * 50_000, "." * 50_000 + "a",
       "a. " * 20_000, "\n" * 50_000 + "a", "p. " * 20_000, "A-" * 25_000, "Section " * 9_000,
       '"' * 50_000 + "a")  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=short)
def test_long_odd_texts_are_checked_in_linear_time(text: str) -> None:
    # What is quadratic takes minutes here.
    for instruction in INSTRUCTIONS:
        check_loose(text, [instruction])


@pytest.mark.skipif("REPRODUCE_MIRROR" not in os.environ, reason="REPRODUCE_MIRROR is not set")
def test_every_instruction_of_ifeval_binds_and_no_type_is_missing() -> None:
    rows = [json.loads(line) for line in fetch("ifeval").open(encoding="utf-8")]
    seen = set()
    for row in rows:
        for name, arguments in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            seen.add(name)
            bind({"id": name, **arguments})("A response.")
    assert (len(rows), seen) == (541, {name for name in CHECKERS if ":" in name})
