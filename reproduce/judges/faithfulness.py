"""Faithfulness of a response to its context: SummaC-ZS, span coverage and K-Precision."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reproduce.judges.task import normalise
from reproduce.judges.text import sentences, words

MIN_SENTENCE_LENGTH = 11
"""Characters that a sentence needs to be scored by SummaC-ZS."""
MAX_CONTEXT_SENTENCES = 100
"""Sentences of the context that SummaC-ZS compares with."""

# A number keeps its inner marks, so that "5" is not in "3.5".
_NUMBER = re.compile(r"((?<![^\W_])\d+(?:[.,]\d+)+)")
# How far a softmax in half precision may be outside 0 to 1.
_ROUNDING = 1e-2

TextPair = tuple[str, str]
Entailment = Callable[[Sequence[TextPair]], NDArray[np.float32]]
"""A natural language inference (NLI) model: n pairs of (premise, hypothesis) -> an (n, 3) table.

The columns are the probabilities, 0 to 1, of LABELS.
"""
LABELS = ("entailment", "contradiction", "neutral")


def question_of(prompt: str, context: str) -> str:
    """Return a prompt without its context and the label "Question:".

    What follows a labelled question after an empty line is an instruction, no part of it.
    """
    text = prompt.replace(context, "", 1).strip()
    _, label, question = text.partition("Question:")
    return question.strip().partition("\n\n")[0] if label and text.startswith(label) else text


def statements(prompt: str, context: str, answer: str) -> list[str]:
    """Return the hypotheses of an answer: for each of its sentences, the question and the sentence.

    A short answer alone states nothing that could be entailed.
    """
    question = question_of(prompt, context)
    return [f"{question} {sentence}" for sentence in sentences(answer)]


def scored_sentences(text: str) -> list[str]:
    """Return the sentences of more than 10 characters; SummaC-ZS ignores shorter ones."""
    return [sentence for sentence in sentences(text) if len(sentence) >= MIN_SENTENCE_LENGTH]


def summac_zs(texts: Sequence[tuple[list[str], list[str]]], entailment: Entailment) -> list[float]:
    """Return the SummaC-ZS score, -1 to 1, of each (context sentences, response sentences).

    Only the first 100 context sentences count. The model is called once, with each distinct
    (premise, hypothesis) pair once, and not at all if there is none.

    Raises:
        ValueError: the model's answer is not an (n, 3) table of probabilities; the message
            has the first pair concerned.
    """
    texts = [(context[:MAX_CONTEXT_SENTENCES], response) for context, response in texts]
    rows: dict[TextPair, int] = {}
    for context, response in texts:
        for pair in product(context, response):
            rows.setdefault(pair, len(rows))
    table = _probabilities(list(rows), entailment)
    scores = []
    for context, response in texts:
        chosen = table[[rows[pair] for pair in product(context, response)]]
        scores.append(aggregate(chosen.reshape(len(context), len(response), 3)))
    return scores


def aggregate(probabilities: NDArray[Any]) -> float:
    """Return the SummaC-ZS score, -1 to 1, of a (context, response, 3) table of sentence pairs.

    Per response sentence: the highest entailment minus the highest contradiction, each over all
    context sentences; then the mean over response sentences. 0.0 if a side has no sentence.
    Source: Laban et al., TACL 2022, as their code computes it.
    """
    if 0 in probabilities.shape:
        return 0.0
    highest = probabilities.astype(np.float64).max(axis=0)
    return float((highest[:, 0] - highest[:, 1]).mean())


def _probabilities(pairs: list[TextPair], entailment: Entailment) -> NDArray[Any]:
    if not pairs:
        return np.zeros((0, 3), dtype=np.float32)
    table: NDArray[Any] = np.asarray(entailment(pairs))
    if table.shape != (len(pairs), 3):
        raise ValueError(
            f"the entailment model returned shape {table.shape} for {len(pairs)} pairs, "
            f"not ({len(pairs)}, 3); the first pair is {pairs[0]!r}"
        )
    # NaN compares false, so this finds it as well as values out of range.
    valid = ((table >= -_ROUNDING) & (table <= 1 + _ROUNDING)).all(axis=1)
    if not valid.all():
        first = int(np.argmin(valid))
        raise ValueError(
            f"the entailment model returned {table[first].tolist()}, which are no probabilities, "
            f"for the pair {pairs[first]!r}"
        )
    return table


def coverage_tokens(text: str) -> list[str]:
    """Return the lower-case words and numbers of a text, without punctuation."""
    tokens: list[str] = []
    for position, part in enumerate(_NUMBER.split(text)):  # Every other part is such a number.
        tokens += [part] if position % 2 else words(part)
    return tokens


def span_coverage(context: str, response: str) -> tuple[float, float]:
    """Return how much of the response is copied from the context, as (coverage, density).

    From left to right, the longest span of response tokens that the context contains is taken
    and skipped. Coverage, 0 to 1, is the share of tokens in such spans; density, 0 to the
    number of tokens, is the sum of squared span lengths per token. (0.0, 0.0) without tokens.
    Source: Newsroom (Grusky et al., NAACL 2018).
    """
    source, tokens = coverage_tokens(context), coverage_tokens(response)
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for position, token in enumerate(source):
        positions[token].append(position)
    lengths, start = [], 0
    while start < len(tokens):
        longest = 0
        for position in positions.get(tokens[start], []):
            length, limit = 0, min(len(source) - position, len(tokens) - start)
            while length < limit and source[position + length] == tokens[start + length]:
                length += 1
            longest = max(longest, length)
        if longest:
            lengths.append(longest)
        start += max(longest, 1)
    if not tokens:
        return 0.0, 0.0
    return sum(lengths) / len(tokens), sum(length * length for length in lengths) / len(tokens)


def k_precision(context: str, response: str) -> float:
    """Return the share, 0 to 1, of the response's normalised tokens that the context contains.

    A token counts at most as often as the context has it; 0.0 without tokens. Source:
    K-Precision (Adlakha et al., TACL 2024), as their code counts.
    """
    tokens = normalise(response).split()
    if not tokens:
        return 0.0
    return (Counter(tokens) & Counter(normalise(context).split())).total() / len(tokens)
