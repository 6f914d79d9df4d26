"""SummaC-ZS, span coverage and K-Precision on cases worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from reproduce.judges.faithfulness import (
    aggregate,
    coverage_tokens,
    k_precision,
    score_units,
    sentences,
    span_coverage,
)
from reproduce.judges.faithfulness import (
    units as units_of,
)

CAT = "The cat sat on the mat."
DOG = "The dog slept all day long."
BIRD = "A bird sang in the tree."


def summac_zs_many(pairs: Sequence[tuple[str, str]], model: Any) -> list[float]:
    return score_units([(units_of(context), units_of(text)) for context, text in pairs], model)


def summac_zs(context: str, response: str, model: Any) -> float:
    return summac_zs_many([(context, response)], model)[0]


class Table:
    """An entailment model that answers from the letters of each pair and keeps its calls."""

    def __init__(self) -> None:
        """Start without calls."""
        self.calls: list[list[tuple[str, str]]] = []

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return certain entailment for equal texts, else a mix that depends on the lengths."""
        self.calls.append(list(pairs))
        return np.array([self._row(*pair) for pair in pairs], dtype=np.float32)

    def _row(self, premise: str, hypothesis: str) -> tuple[float, float, float]:
        if premise == hypothesis:
            return 1.0, 0.0, 0.0
        contradiction = (len(premise) * 7 + len(hypothesis)) % 10 / 10
        return 0.0, contradiction, 1 - contradiction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two!  Three?\nFour", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 3.5 euros. ", ["It costs 3.5 euros."]),
        ("Mr. Smith", ["Mr.", "Smith"]),
        (" \n\n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_aggregate_takes_separate_maxima() -> None:
    table = np.zeros((2, 2, 3))
    # Output 0: entailment from document 0, contradiction from document 1: 0.9 - 0.8.
    table[0, 0] = 0.9, 0.05, 0.05
    table[1, 0] = 0.1, 0.8, 0.1
    # Output 1: both from document 1: 0.3 - 0.5.
    table[0, 1] = 0.2, 0.1, 0.7
    table[1, 1] = 0.3, 0.5, 0.2
    assert aggregate(table) == pytest.approx((0.1 - 0.2) / 2)


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (0, 0, 3)])
def test_aggregate_without_units_is_zero(shape: tuple[int, int, int]) -> None:
    assert aggregate(np.zeros(shape)) == 0.0


def test_units_of_ten_characters_are_dropped() -> None:
    model = Table()
    assert len("Ten chars.") == 10
    assert summac_zs("Ten chars. Eleven char.", "Eleven char. Ten chars.", model) == 1.0
    assert model.calls == [[("Eleven char.", "Eleven char.")]]


def test_eleven_characters_are_enough() -> None:
    assert len("Eleven chr.") == 11
    assert summac_zs("Eleven chr.", "Eleven chr.", Table()) == 1.0


@pytest.mark.parametrize(("context", "response"), [(CAT, "Paris."), ("Short.", CAT), ("", "")])
def test_no_unit_scores_zero_without_the_model(context: str, response: str) -> None:
    model = Table()
    assert summac_zs(context, response, model) == 0.0
    assert model.calls == []


def test_first_hundred_document_units_after_the_short_ones_are_dropped() -> None:
    units = [f"Document unit {number}." for number in range(101)]
    context = " ".join(["Short."] * 5 + units)
    model = Table()
    assert summac_zs(context, units[99], model) > 0
    assert [premise for premise, _ in model.calls[0]] == units[:100]
    assert summac_zs(context, units[100], model) <= 0


def test_many_equals_one_by_one_with_distinct_pairs_once() -> None:
    pairs = [
        (f"{CAT} {DOG}", f"{CAT} {BIRD}"),
        (f"{CAT} {DOG}", CAT),
        (f"{CAT} {CAT}", f"{CAT} {CAT}"),
        (BIRD, "No."),
        (BIRD, DOG),
    ]
    model = Table()
    together = summac_zs_many(pairs, model)
    assert together == [summac_zs(*pair, Table()) for pair in pairs]
    assert len(set(together)) > 2
    assert len(model.calls) == 1
    expected = {(CAT, CAT), (CAT, BIRD), (DOG, CAT), (DOG, BIRD), (BIRD, DOG)}
    assert sorted(model.calls[0]) == sorted(expected)


def test_many_of_nothing() -> None:
    assert summac_zs_many([], Table()) == []


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (6,), (3, 3)])
def test_wrong_shape_names_the_first_pair(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape .* for 2 pairs.*The cat sat on the mat"):
        summac_zs(f"{CAT} {DOG}", BIRD, lambda pairs: np.full(shape, 0.3, dtype=np.float32))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 4.2, -3.0])
def test_no_probability_names_its_pair(bad: float) -> None:
    def model(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        table = np.full((len(pairs), 3), 1 / 3, dtype=np.float32)
        table[1:, 2] = bad
        return table

    with pytest.raises(ValueError, match="not probabilities.*The dog slept.*A bird sang"):
        summac_zs(f"{CAT} {DOG} {CAT[:-1]}!", BIRD, model)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Paris, 'France'!", ["paris", "france"]),
        ("John's 3.5 kg", ["john", "s", "3.5", "kg"]),
        ("1,000 in 1990.", ["1,000", "in", "1990"]),
        ("... -- _", []),
    ],
)
def test_coverage_tokens(text: str, expected: list[str]) -> None:
    assert coverage_tokens(text) == expected


@pytest.mark.parametrize(
    ("context", "response", "expected"),
    [
        ("I live in Paris.", "paris", (1.0, 1.0)),
        ("I live in Paris.", "'Paris.'", (1.0, 1.0)),
        # Runs "the cat" and "the mat" around the new "bit": 4 of 5, (4 + 4) / 5.
        (CAT, "the cat bit the mat", (0.8, 1.6)),
        # The longest run from "a" is "a b c" at the second place: 9 / 3.
        ("a b x a b c", "a b c", (1.0, 3.0)),
        # Greedy: "a b" is taken first, which leaves "c" alone: (4 + 1) / 3.
        ("a b x b c", "a b c", (1.0, 5 / 3)),
        ("It weighs 3.5 kg", "5", (0.0, 0.0)),
        (CAT, "dogs", (0.0, 0.0)),
        ("", "dogs", (0.0, 0.0)),
        (CAT, "", (0.0, 0.0)),
        (CAT, "...", (0.0, 0.0)),
    ],
)
def test_span_coverage(context: str, response: str, expected: tuple[float, float]) -> None:
    assert span_coverage(context, response) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("The cat, the mat!", 1.0),
        ("cat dog", 0.5),
        # The context has "cat" once only.
        ("cat cat", 0.5),
        ("dog", 0.0),
        ("the", 0.0),
        ("", 0.0),
    ],
)
def test_k_precision(response: str, expected: float) -> None:
    assert k_precision(CAT, response) == expected
