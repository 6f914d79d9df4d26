"""The exact entailment model of the world: it reads a sentence as a fact or as nothing."""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from reproduce.world.people import STATEMENTS, VALUES

Fact = tuple[str, str, str]

ENTAILMENT, CONTRADICTION, NEUTRAL = np.eye(3, dtype=np.float32)


def read_fact(sentence: str) -> Fact | None:
    """Return (name, attribute, value) if the sentence states a fact in a known form."""
    for attribute, pattern in _patterns():
        match = pattern.fullmatch(sentence.strip().removeprefix("- "))
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
    for attribute, forms in STATEMENTS.items():
        values = "|".join(VALUES[attribute])
        for form in forms:
            text = re.escape(form).replace(r"\{n\}", r"(?P<n>\w+)")
            patterns.append((attribute, re.compile(text.replace(r"\{v\}", f"(?P<v>{values})"))))
    return patterns
