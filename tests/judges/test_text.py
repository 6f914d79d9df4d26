"""Sentences, words and quotes as a reader sees them."""

import pytest

from reproduce.judges.text import has_words, plain_quotes, sentences, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two!  Three?\nFour", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 3.5 euros. ", ["It costs 3.5 euros."]),
        ("Mr. Smith ran home.", ["Mr. Smith ran home."]),
        ("E.I. du Pont is in the U.S. South. It sells e.g. paint.",
         ["E.I. du Pont is in the U.S. South.", "It sells e.g. paint."]),
        ('"Go." Then he left.', ['"Go."', "Then he left."]),
        ("(He left.) She stayed.", ["(He left.)", "She stayed."]),
        ("He (Mr. Lee) left. [Laughs.] She stayed.",
         ["He (Mr. Lee) left.", "[Laughs.]", "She stayed."]),
        ("Ann: Are you coming?\r\nBob: Not sure...",
         ["Ann: Are you coming?", "Bob: Not sure..."]),
        ("東京。大阪。", ["東京。", "大阪。"]),
        ("One.\u2028Two", ["One.", "Two"]),
        (" \n\n ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, 3.5 ÜBER_x", ["don", "t", "stop", "3", "5", "über", "x"]),
        ("caf\u0065\u0301", ["café"]),
        ("東京tower", ["東", "京", "tower"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("… 🙂 _", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["a", "7", "ж", "東", "(x)"])
def test_a_letter_or_digit_says_something(text: str) -> None:
    assert has_words(text)


@pytest.mark.parametrize("text", ["", ".", "\u200b", "_", "🙂", "\x00"])
def test_marks_alone_say_nothing(text: str) -> None:
    assert not has_words(text)


def test_quotes_become_plain() -> None:
    assert plain_quotes("“Don’t” „so“ «là» ‚x‘") == '"Don\'t" "so" "là" \'x\''
