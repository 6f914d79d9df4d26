"""Faithfulness of a response to its context: SummaC-ZS, span coverage and K-Precision."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reproduce.judges.task import normalise

SHORTEST_UNIT = 11
"""Characters that a sentence needs for SummaC-ZS to look at it."""
MOST_DOCUMENT_UNITS = 100
"""Sentences of the context that SummaC-ZS looks at."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
# A number keeps its inner marks, so that "5" is not found inside "3.5".
_COVERAGE_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")
# Room for the rounding of a softmax in half precision.
_ROUNDING = 1e-2

Pair = tuple[str, str]

LABELS = ("entailment", "contradiction", "neutral")
"""The columns of an entailment model's table."""


class Entailment(Protocol):
    """A natural language inference model."""

    def __call__(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Return an (n, 3) table for n pairs of (premise, hypothesis).

        The columns are the probabilities, 0 to 1, of entailment, contradiction and neutral.
        """
        ...


def sentences(text: str) -> list[str]:
    """Return the non-empty sentences of a text, stripped.

    A sentence ends at '.', '!' or '?' before white space, and at each line's end, so
    an abbreviation ("Mr. Smith") ends one too.
    """
    parts = (part.strip() for part in _SENTENCE_END.split(text))
    return [part for part in parts if part]


def question_of(prompt: str, context: str) -> str:
    """Return what a prompt says besides its context, without the label of a question."""
    return prompt.replace(context, "", 1).strip().removeprefix("Question:").strip()


def statements(prompt: str, context: str, answer: str) -> list[str]:
    """Return what an answer says, a hypothesis a sentence: the question, then the sentence.

    Without its question a short answer says nothing that could be entailed.
    """
    question = question_of(prompt, context)
    return [f"{question} {sentence}" for sentence in sentences(answer)]


def aggregate(probabilities: NDArray[Any]) -> float:
    """Return the SummaC-ZS score, -1 to 1, of a (documents, outputs, 3) table.

    Per output unit: the highest entailment minus the highest contradiction, each over all
    document units on its own; then the mean over output units. 0.0 where a side has no unit.
    Source: Laban et al., TACL 2022, as their code computes it.
    """
    if 0 in probabilities.shape:
        return 0.0
    highest = probabilities.astype(np.float64).max(axis=0)
    return float((highest[:, 0] - highest[:, 1]).mean())


def units(text: str) -> list[str]:
    """Return the sentences of more than 10 characters, as SummaC-ZS takes them."""
    return [unit for unit in sentences(text) if len(unit) >= SHORTEST_UNIT]


def score_units(
    texts: Sequence[tuple[list[str], list[str]]], entailment: Entailment
) -> list[float]:
    """Return the SummaC-ZS score, -1 to 1, of each (units of the context, units of the output).

    Of the context the first 100 units count; `aggregate` has the formula. The model is called
    once, on distinct (premise, hypothesis) pairs, and not at all when there are none.

    Raises:
        ValueError: the model's answer is not an (n, 3) table of probabilities; the message
            names the first pair concerned.
    """
    grids = [(documents[:MOST_DOCUMENT_UNITS], outputs) for documents, outputs in texts]
    rows: dict[Pair, int] = {}
    for documents, outputs in grids:
        for pair in product(documents, outputs):
            rows.setdefault(pair, len(rows))
    table = _probabilities(list(rows), entailment)
    return [aggregate(_grid(documents, outputs, rows, table)) for documents, outputs in grids]


def _grid(
    documents: list[str], outputs: list[str], rows: dict[Pair, int], table: NDArray[Any]
) -> NDArray[Any]:
    wanted = np.array([rows[pair] for pair in product(documents, outputs)], dtype=np.intp)
    grid: NDArray[Any] = table[wanted].reshape(len(documents), len(outputs), 3)
    return grid


def _probabilities(pairs: list[Pair], entailment: Entailment) -> NDArray[Any]:
    if not pairs:
        return np.zeros((0, 3), dtype=np.float32)
    table: NDArray[Any] = np.asarray(entailment(pairs))
    if table.shape != (len(pairs), 3):
        raise ValueError(
            f"the entailment model gave shape {table.shape} for {len(pairs)} pairs, "
            f"not ({len(pairs)}, 3); the first pair is {pairs[0]!r}"
        )
    # NaN compares false, so it is caught here with every other value out of range.
    valid = ((table >= -_ROUNDING) & (table <= 1 + _ROUNDING)).all(axis=1)
    if not valid.all():
        first = int(np.argmin(valid))
        raise ValueError(
            f"the entailment model gave {table[first].tolist()}, not probabilities, "
            f"for the pair {pairs[first]!r}"
        )
    return table


def coverage_tokens(text: str) -> list[str]:
    """Return the lower-case words and numbers of a text, without punctuation."""
    return _COVERAGE_TOKEN.findall(text.lower())


def span_coverage(context: str, response: str) -> tuple[float, float]:
    """Return how much of the response is copied from the context, as (coverage, density).

    From left to right, each longest run of response tokens that the context holds is taken
    and skipped. Coverage, 0 to 1, is the share of tokens in such runs; density, 0 to the
    number of tokens, is the sum of squared run lengths per token. (0.0, 0.0) without tokens.
    Source: Newsroom (Grusky et al., NAACL 2018).
    """
    tokens = coverage_tokens(response)
    if not tokens:
        return 0.0, 0.0
    runs = _copied_runs(coverage_tokens(context), tokens)
    return sum(runs) / len(tokens), sum(run * run for run in runs) / len(tokens)


def _copied_runs(source: list[str], tokens: list[str]) -> list[int]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, token in enumerate(source):
        places[token].append(place)
    runs, position = [], 0
    while position < len(tokens):
        starts = places.get(tokens[position], [])
        longest = max((_shared(source, at, tokens, position) for at in starts), default=0)
        if longest:
            runs.append(longest)
        position += max(longest, 1)
    return runs


def _shared(source: list[str], at: int, tokens: list[str], position: int) -> int:
    length = 0
    most = min(len(source) - at, len(tokens) - position)
    while length < most and source[at + length] == tokens[position + length]:
        length += 1
    return length


def k_precision(context: str, response: str) -> float:
    """Return the share, 0 to 1, of the response's normalised tokens that the context holds.

    A token counts at most as often as the context has it; 0.0 without tokens. Source:
    K-Precision (Adlakha et al., TACL 2024), as their code counts.
    """
    tokens = normalise(response).split()
    if not tokens:
        return 0.0
    return (Counter(tokens) & Counter(normalise(context).split())).total() / len(tokens)
