"""Exact match, token F1 and ROUGE-L on cases worked out by hand."""

from collections.abc import Callable

import pytest

from reproduce.judges.task import exact_match, normalise, rouge_l, token_f1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel\tTower!", "eiffel tower"),
        ("an apple, a day", "apple day"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("  The. ", ""),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("response", "references", "expected"),
    [
        ("the Paris.", ["London", "paris"], 1.0),
        ("Paris, France", ["Paris"], 0.0),
        ("", ["Paris"], 0.0),
    ],
)
def test_exact_match(response: str, references: list[str], expected: float) -> None:
    assert exact_match(response, references) == expected


@pytest.mark.parametrize(
    ("response", "references", "expected"),
    [
        # 1 of 2 and 1 of 1 tokens: 2 * 0.5 * 1 / 1.5.
        ("Paris France", ["Paris"], 2 / 3),
        ("Paris France", ["London", "Paris", "in Paris, France"], 0.8),
        # "red" counts once, as the reference has it once: 2 * 1 / (3 + 1).
        ("red red red", ["red"], 0.5),
        ("blue", ["red"], 0.0),
        ("", ["red"], 0.0),
        ("the", ["a"], 1.0),
    ],
)
def test_token_f1(response: str, references: list[str], expected: float) -> None:
    assert token_f1(response, references) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("response", "references", "expected"),
    [
        # The longest common subsequence is "the cat the mat": 4 of 5 and 4 of 6 tokens.
        ("The cat left the mat.", ["the cat sat on the mat"], 8 / 11),
        ("The cat left the mat.", ["dogs", "the cat left the mat"], 1.0),
        # Without a stemmer "cats" is not "cat".
        ("cats", ["cat"], 0.0),
        ("", ["cat"], 0.0),
    ],
)
def test_rouge_l(response: str, references: list[str], expected: float) -> None:
    assert rouge_l(response, references) == pytest.approx(expected)


@pytest.mark.parametrize("score", [exact_match, token_f1, rouge_l])
def test_no_reference_is_an_error(score: Callable[[str, list[str]], float]) -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        score("Paris", [])
