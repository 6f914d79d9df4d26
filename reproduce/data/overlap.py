"""What keeps train and evaluation apart, and how much they still have in common."""

from collections.abc import Iterable, Sequence

from reproduce.schema import Example
from reproduce.utils.files import text_id

OVERLAP_WORDS = 13
"""Words in a run that train and evaluation should not share (GPT-3's contamination check,
Brown et al., 2020, appendix C)."""

EVALUATION_SHARE = 0.3
"""Share of the groups of a data set that are kept for evaluation."""


def marks(example: Example) -> set[str]:
    """Return what must not be on both sides; case and white space do not tell texts apart."""
    texts = (example.prompt, example.context, example.group)
    return {" ".join(text.casefold().split()) for text in texts if text}


def held_out_group(group: str) -> bool:
    """Return whether a group is kept for evaluation, by its hash: the same for every seed."""
    return int(text_id(group), 16) < EVALUATION_SHARE * 16**12


def seen_runs(sets: Iterable[Sequence[Example]], words: int = OVERLAP_WORDS) -> set[str]:
    """Return every run of so many words of the training passages, or prompts without one."""
    return {run for examples in sets for example in examples for run in _runs(example, words)}


def overlap(examples: Sequence[Example], seen: set[str], words: int = OVERLAP_WORDS) -> float:
    """Return the share of the examples that have a run of words in common with `seen`."""
    hits = sum(not _runs(example, words).isdisjoint(seen) for example in examples)
    return round(hits / len(examples), 4) if examples else 0.0


def _runs(example: Example, words: int) -> set[str]:
    return runs(example.context or example.prompt, words)


def runs(text: str, words: int) -> set[str]:
    """Return every run of so many words of a text, without regard to case."""
    found = text.casefold().split()
    return {" ".join(found[i : i + words]) for i in range(len(found) - words + 1)}
