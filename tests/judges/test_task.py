"""Exact match, token F1 and ROUGE-L on cases worked out by hand."""

import itertools
from collections.abc import Callable, Sequence

import pytest
from rouge_score.rouge_scorer import RougeScorer

from reproduce.judges.task import contains_answer, exact_match, rouge_l, token_f1

Score = Callable[[str, Sequence[str]], float]


@pytest.mark.parametrize(
    ("score", "response", "references", "expected"),
    [
        (exact_match, "the Paris.", ["London", "paris"], 1.0),
        (exact_match, "Paris, France", ["Paris"], 0.0),
        (exact_match, "", ["Paris"], 0.0),
        (exact_match, "theatre", ["atre"], 0.0),
        # 1 of 2 and 1 of 1 tokens: 2 * 0.5 * 1 / 1.5.
        (token_f1, "Paris France", ["Paris"], 2 / 3),
        (token_f1, "Paris France", ["London", "Paris", "in Paris, France"], 0.8),
        # "red" counts once, as the reference has it once: 2 * 1 / (3 + 1).
        (token_f1, "red red red", ["red"], 0.5),
        (token_f1, "blue", ["red"], 0.0),
        (token_f1, "", ["red"], 0.0),
        (token_f1, "the", ["a"], 1.0),
        (contains_answer, "It is in the city of Paris.", ["London", "paris"], 1.0),
        (contains_answer, "Parisian", ["Paris"], 0.0),
        (contains_answer, "the", ["the"], 0.0),  # No token is left to look for.
        (contains_answer, "", ["Paris"], 0.0),
        # The longest common subsequence is "the cat the mat": 4 of 5 and 4 of 6 tokens.
        (rouge_l, "The cat left the mat.", ["the cat sat on the mat"], 8 / 11),
        (rouge_l, "The cat left the mat.", ["dogs", "the cat left the mat"], 1.0),
        (rouge_l, "cats", ["cat"], 0.0),  # No stemmer.
        (rouge_l, "", ["cat"], 0.0),
        (rouge_l, "café", ["cafe\u0301"], 1.0),
        (rouge_l, "東京", ["東京都"], 0.8),
        # As SQuAD's own script has it for their ASCII forms.
        (exact_match, "1568–1609", ["1568-1609"], 1.0),
        (exact_match, "“Paris”", ["Paris"], 1.0),
        (exact_match, "café", ["cafe\u0301"], 1.0),
        (token_f1, "东京。", ["东京"], 1.0),
    ],
)
def test_scores(score: Score, response: str, references: list[str], expected: float) -> None:
    assert score(response, references) == pytest.approx(expected)


@pytest.mark.parametrize("score", [exact_match, token_f1, rouge_l])
def test_no_reference_is_an_error(score: Score) -> None:
    with pytest.raises(ValueError):
        score("Paris", [])


@pytest.mark.parametrize("score", [exact_match, token_f1, rouge_l])
@pytest.mark.parametrize("text", ["Привет мир", "东京", "नमस्ते दुनिया", "مرحبا", "สวัสดี", "🙂", "."])
def test_identical_texts_score_1_in_every_script(score: Score, text: str) -> None:
    assert score(text, ["other", text]) == 1.0


def test_rouge_l_of_english_is_that_of_its_package() -> None:
    scorer = RougeScorer(["rougeL"])
    texts = ["Don't stop: 3.5 km, x_y!", "stop 3 km or don t", "A well-known (odd) text.", "known"]
    for text, reference in itertools.product(texts, repeat=2):
        theirs = scorer.score(reference, text)["rougeL"].fmeasure
        assert rouge_l(text, [reference]) == pytest.approx(theirs)
