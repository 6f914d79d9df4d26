"""IFEval's 25 types on responses that follow and that do not, and on IFEval's own file."""

import json
import os
from typing import Any

import pytest

from reproduce.download import fetch
from reproduce.judges.ifeval import IFEVAL, asked_words
from reproduce.judges.instructions import CHECKERS, bind, check_loose, check_strict

AT_LEAST, LESS = {"relation": "at least"}, {"relation": "less than"}
PROMPT = "Name a river, please."
GERMAN = "Der Fluss ist breit und das Wasser ist kalt."
HINDI = "नदी बहुत चौड़ी है और पानी ठंडा है।"
MARATHI = "नदी खूप रुंद आहे आणि पाणी थंड आहे."
SWAHILI = "Mto ni mpana sana na maji ni baridi."
# (id, arguments, responses that follow, responses that do not)
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["river", "don’t"]},
     ["Rivers don't end.", "RIVERBANK; I DON’T"], ["A river.", "Don't."]),
    ("keywords:existence", {"keywords": ["café", "C++"]},
     ["Cafés and c++", "cafe\u0301 C++"], ["cafe C++", "café C"]),
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
    ("keywords:letter_frequency", {"letter": "é", "let_frequency": 1, "let_relation": "at least"},
     ["É", "e\u0301t"], ["e", "è"]),
    ("language:response_language", {"language": "de"}, [GERMAN, GERMAN.upper(), "Ja, gerne."],
     ["The river is wide.", SWAHILI, "12, 34", "I"]),
    ("language:response_language", {"language": "hi"}, [HINDI, f"* {HINDI}"], [MARATHI, GERMAN]),
    ("language:response_language", {"language": "sw"}, [SWAHILI, SWAHILI.lower()],
     [HINDI, "Watter is this?"]),
    ("language:response_language", {"language": "zh"}, ["易北河很长。"], ["エルベ川は長いです。"]),
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
     ["[a] [b c]", "[a][b][ö]"], ["[a]", "[] [ ] [a]"]),
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
     ["*a* and **b c**", "***a*** *é*"], ["*a*", "2 * 3 * 4", "** ** *a*"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     ["Section 1\na\nSection 2\nb", "**Section1** Section 10 Section 3"],
     ["SECTION 1 SECTION 2", "Section one Section two", "Section 1"]),
    ("detectable_format:multiple_sections", {"section_spliter": "(Day)", "num_sections": 1},
     ["(Day) 1", "(Day)2"], ["Day 1", "(day) 1"]),
    ("detectable_format:json_format", {}, ['{"a": "“"}', '```JSON\n{"a": 1}\n```'],
     ["{“a”: 1}", 'Here: {"a": 1}', "NaN"]),
    ("detectable_format:title", {}, ["<<Ode>>\nO river", "a <<b>>"],
     ["<Ode>", "<<>> a", "<< >> a"]),
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
RESPONSES = [
    ({"id": name, **arguments}, response, follows)
    for name, arguments, *sides in CASES
    for follows, responses in zip((True, False), sides, strict=True)
    for response in responses
]


@pytest.mark.parametrize(("instruction", "response", "follows"), RESPONSES)
def test_checkers(instruction: dict[str, Any], response: str, follows: bool) -> None:
    stored = json.loads(json.dumps(instruction))
    assert check_strict(response, [stored]) == [follows]


def test_every_type_has_at_least_two_cases_of_each_kind() -> None:
    assert len(IFEVAL) == 25 and set(IFEVAL) < set(CHECKERS)
    for name in IFEVAL:
        follows = [case for instruction, _, case in RESPONSES if instruction["id"] == name]
        assert follows.count(True) >= 2 and follows.count(False) >= 2, name


@pytest.mark.parametrize("response", ["", " \n\t ", "...", "\u200b", "🙂", "***", '""', "[]"])
def test_an_empty_response_follows_nothing(response: str) -> None:
    instructions = [{"id": name, **arguments} for name, arguments, *_ in CASES]
    for check in (check_strict, check_loose):
        assert not any(check(response, instructions))


def test_loose_variants_are_those_of_the_other_checkers() -> None:
    lower = {"id": "change_case:english_lowercase"}
    response = "Sure!\nthe river is *wide* and cold.\nDone"
    assert (check_strict(response, [lower]), check_loose(response, [lower])) == ([False], [True])


ODD = ["<<" + "a" * 50_000, "[" * 50_000, " " * 50_000 + "a", "*" * 50_000 + "a", "p. " * 20_000,
       "\n" * 50_000 + "a", "A-" * 25_000, "Section " * 9_000, '"' * 50_000 + "a"]  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:9])
def test_long_odd_texts_are_checked_in_linear_time(text: str) -> None:
    for name, arguments, *_ in CASES:
        check_loose(text, [{"id": name, **arguments}])


@pytest.mark.parametrize(
    ("instruction", "parts"),
    [
        ({"id": "keywords:exist"}, ["'keywords:exist'", "keywords:existence"]),
        ({"id": "keywords:existence"}, ["'keywords'", "missing"]),
        ({"id": "keywords:existence", "keywords": "a"}, ["keywords", "list", "'a'"]),
        ({"id": "keywords:frequency", "keyword": "a", "frequency": 1}, ["'relation'"]),
        ({"id": "length_constraints:number_words", "num_words": 1, "relation": "over"},
         ["relation", "'less than'", "'over'"]),
        ({"id": "length_constraints:number_words", "num_words": 1.5, **LESS}, ["num_words", "1.5"]),
        ({"id": "length_constraints:number_paragraphs", "num_paragraphs": 0}, ["from 1", "0"]),
        ({"id": "language:response_language", "language": "xx"}, ["language", "de, en", "'xx'"]),
        ({"id": "keywords:letter_frequency", "letter": "ab", "let_frequency": 1,
          "let_relation": "at least"}, ["letter", "one character", "'ab'"]),
        ({"id": "detectable_format:title", "n": 1}, ["'n'", "no argument"]),
    ],
)  # fmt: skip
def test_an_error_says_what_is_allowed(instruction: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValueError) as raised:
        bind(instruction)
    assert all(part in str(raised.value) for part in parts)


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        ([], 0),
        ([{"id": "detectable_format:title"}], 0),
        ([{"id": "length_constraints:number_words", "num_words": 300, **AT_LEAST}], 300),
        ([{"id": "length_constraints:number_words", "num_words": 300, **LESS}], 0),
        ([{"id": "length_constraints:number_sentences", "num_sentences": 7, **AT_LEAST},
          {"id": "length_constraints:number_paragraphs", "num_paragraphs": 4}], 80),
        ([{"id": "combination:repeat_prompt", "prompt_to_repeat": "a b c", "num_words": None}], 3),
    ],
)  # fmt: skip
def test_words_that_instructions_ask_for(instructions: list[dict[str, Any]], words: int) -> None:
    assert asked_words(instructions) == words


@pytest.mark.skipif("REPRODUCE_MIRROR" not in os.environ, reason="REPRODUCE_MIRROR is not set")
def test_every_instruction_of_ifeval_binds_and_no_type_is_missing() -> None:
    rows = [json.loads(line) for line in fetch("ifeval").open(encoding="utf-8")]
    seen = set()
    for row in rows:
        for name, arguments in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            seen.add(name)
            bind({"id": name, **arguments})("A response.")
    assert (len(rows), seen) == (541, set(IFEVAL))
