"""The symbolic entailment model: it reads a sentence of the synthetic world as a fact."""

import re
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from reproduce.world.people import QUESTIONS, STATEMENTS, VALUES

Fact = tuple[str, str, str]

ENTAILMENT, CONTRADICTION, NEUTRAL = np.eye(3, dtype=np.float32)


@lru_cache(1 << 16)
def read_fact(sentence: str) -> Fact | None:
    """Return (name, attribute, value) if the sentence states a fact in a known form.

    A question followed by its answer states a fact, too; so does a whole sentence as an answer.
    """
    text = sentence.strip().removeprefix("- ").removesuffix(".")
    for form in (text, text.partition("? ")[2]):
        for attribute, pattern in _patterns():
            match = pattern.fullmatch(form)
            if match:
                return match["n"], attribute, match["v"]
    return None


def symbolic_entailment(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return (n, 3) probabilities of entailment, contradiction, neutral; each is 0 or 1.

    A person has one value of each attribute, so another value contradicts; a sentence that
    states no fact, or a fact of another person or attribute, is neutral.
    """
    return np.stack([_relation(read_fact(a), read_fact(b)) for a, b in pairs])


def _relation(premise: Fact | None, hypothesis: Fact | None) -> np.ndarray:
    if premise is None or hypothesis is None or premise[:2] != hypothesis[:2]:
        return NEUTRAL
    return ENTAILMENT if premise[2] == hypothesis[2] else CONTRADICTION


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    patterns = []
    for attribute, allowed in VALUES.items():
        values = f"(?P<v>{'|'.join(allowed)})"
        questions = [f"{question} {{v}}" for question in QUESTIONS[attribute]]
        for form in [*STATEMENTS[attribute], *questions]:
            text = re.escape(form.removesuffix(".")).replace(r"\{n\}", r"(?P<n>\w+)")
            patterns.append((attribute, re.compile(text.replace(r"\{v\}", values))))
    return patterns
