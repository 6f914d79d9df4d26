"""Sentences as a reader sees them."""

import pytest

from reproduce.judges.text import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two!  Three?\nFour", ["One.", "Two!", "Three?", "Four"]),
        ("(He left.) She stayed.", ["(He left.)", "She stayed."]),
        ("He (Mr. Lee) left. [Laughs.] She stayed.",
         ["He (Mr. Lee) left.", "[Laughs.]", "She stayed."]),
        ("Ann: Are you coming?\r\nBob: Not sure...",
         ["Ann: Are you coming?", "Bob: Not sure..."]),
        ("One.\u2028Two", ["One.", "Two"]),
        (" \n\n ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected
