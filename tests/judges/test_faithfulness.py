"""SummaC-ZS, span coverage and K-Precision on cases worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from reproduce.judges.faithfulness import (
    TextPair,
    aggregate,
    k_precision,
    question_of,
    scored_sentences,
    span_coverage,
    summac_zs,
)

CAT = "The cat sat on the mat."
DOG = "The dog slept all day long."
BIRD = "A bird sang in the tree."


def score_all(pairs: Sequence[TextPair], model: Any) -> list[float]:
    return summac_zs([(scored_sentences(a), scored_sentences(b)) for a, b in pairs], model)


def score(context: str, response: str, model: Any) -> float:
    return score_all([(context, response)], model)[0]


class ByLength:
    """An entailment model: equal texts are entailed, others contradict by their lengths."""

    def __init__(self) -> None:
        self.calls: list[list[TextPair]] = []

    def __call__(self, pairs: Sequence[TextPair]) -> np.ndarray:
        self.calls.append(list(pairs))
        shares = [(7 * len(a) + len(b)) % 10 / 10 for a, b in pairs]
        rows = [(1, 0, 0) if a == b else (0, share, 1 - share)
                for (a, b), share in zip(pairs, shares, strict=True)]  # fmt: skip
        return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        (f"{CAT}\n\nQuestion: Who sat?", "Who sat?"),
        (f'{CAT}\n\nQuestion: Who sat?\n\nBegin with "Well". Use 8 words.', "Who sat?"),
        (f"{CAT}\n\nTell me:\n\nWho sat?", "Tell me:\n\nWho sat?"),
    ],
)
def test_instructions_are_no_part_of_the_question(prompt: str, question: str) -> None:
    assert question_of(prompt, CAT) == question


def test_aggregate_takes_separate_maxima() -> None:
    table = np.zeros((2, 2, 3))
    # Response sentence 0: entailment from context 0, contradiction from context 1: 0.9 - 0.8.
    table[0, 0], table[1, 0] = (0.9, 0.05, 0.05), (0.1, 0.8, 0.1)
    # Response sentence 1: both from context 1: 0.3 - 0.5.
    table[0, 1], table[1, 1] = (0.2, 0.1, 0.7), (0.3, 0.5, 0.2)
    assert aggregate(table) == pytest.approx((0.1 - 0.2) / 2)


def test_sentences_of_ten_characters_are_dropped_and_of_eleven_are_not() -> None:
    model = ByLength()
    assert [len(text) for text in ("Ten chars.", "Eleven chr.")] == [10, 11]
    assert score("Ten chars. Eleven chr.", "Eleven chr. Ten chars.", model) == 1.0
    assert model.calls == [[("Eleven chr.", "Eleven chr.")]]


@pytest.mark.parametrize(("context", "response"), [(CAT, "Paris."), ("Short.", CAT), ("", "")])
def test_without_a_sentence_the_score_is_zero(context: str, response: str) -> None:
    model = ByLength()
    assert score(context, response, model) == 0.0
    assert score_all([], model) == model.calls == []


def test_the_first_hundred_context_sentences_that_are_long_enough_count() -> None:
    units = [f"Context sentence {number}." for number in range(101)]
    context = " ".join(["Short."] * 5 + units)
    model = ByLength()
    assert score(context, units[99], model) > 0
    assert [premise for premise, _ in model.calls[0]] == units[:100]
    assert score(context, units[100], model) <= 0


def test_many_equals_one_by_one_with_distinct_pairs_once() -> None:
    pairs = [(f"{CAT} {DOG}", f"{CAT} {BIRD}"), (f"{CAT} {DOG}", CAT),
             (f"{CAT} {CAT}", f"{CAT} {CAT}"), (BIRD, "No."), (BIRD, DOG)]  # fmt: skip
    model = ByLength()
    together = score_all(pairs, model)
    assert together == [score(*pair, ByLength()) for pair in pairs]
    assert len(set(together)) > 2 and len(model.calls) == 1
    expected = {(CAT, CAT), (CAT, BIRD), (DOG, CAT), (DOG, BIRD), (BIRD, DOG)}
    assert sorted(model.calls[0]) == sorted(expected)


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (6,), (3, 3)])
def test_a_wrong_shape_names_the_first_pair(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 pairs.*The cat sat on the mat"):
        score(f"{CAT} {DOG}", BIRD, lambda pairs: np.full(shape, 0.3, dtype=np.float32))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 4.2, -3.0])
def test_what_is_no_probability_names_its_pair(bad: float) -> None:
    def model(pairs: Sequence[TextPair]) -> np.ndarray:
        table = np.full((len(pairs), 3), 1 / 3, dtype=np.float32)
        table[1:, 2] = bad
        return table

    with pytest.raises(ValueError, match="The dog slept.*A bird sang"):
        score(f"{CAT} {DOG} {CAT[:-1]}!", BIRD, model)


@pytest.mark.parametrize(
    ("context", "response", "expected"),
    [
        ("I live in Paris.", "'Paris.'", (1.0, 1.0)),
        # Spans "the cat" and "the mat" around the new "bit": 4 of 5, (4 + 4) / 5.
        (CAT, "the cat bit the mat", (0.8, 1.6)),
        # The longest span from "a" is "a b c" at the second position: 9 / 3.
        ("a b x a b c", "a b c", (1.0, 3.0)),
        # Greedy: "a b" comes first, which leaves "c" alone: (4 + 1) / 3.
        ("a b x b c", "a b c", (1.0, 5 / 3)),
        ("It weighs 3.5 kg", "5", (0.0, 0.0)),
        ("John's 1,000 kg", "john 1,000", (1.0, 1.0)),
        (CAT, "dogs", (0.0, 0.0)),
        (CAT, "...", (0.0, 0.0)),
    ],
)
def test_span_coverage(context: str, response: str, expected: tuple[float, float]) -> None:
    assert span_coverage(context, response) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("response", "expected"),
    # The context has "cat" only once.
    [("The cat, the mat!", 1.0), ("cat dog", 0.5), ("cat cat", 0.5), ("dog", 0.0), ("the", 0.0)],
)
def test_k_precision(response: str, expected: float) -> None:
    assert k_precision(CAT, response) == expected
