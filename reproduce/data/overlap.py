"""What training and evaluation must not share, and how many words they still have in common."""

from collections.abc import Iterable, Sequence

from reproduce.schema import Example

OVERLAP_WORDS = 13
"""Length of the n-grams that count as overlap (GPT-3's contamination check, Brown et al., 2020,
appendix C)."""


def dedup_keys(example: Example) -> set[str]:
    """Return the texts that must not be on both sides, without regard to case and white space."""
    texts = (example.prompt, example.context, example.split_group)
    return {" ".join(text.casefold().split()) for text in texts if text}


def training_ngrams(sets: Iterable[Sequence[Example]], words: int = OVERLAP_WORDS) -> set[str]:
    """Return the n-grams of the training contexts, or of prompts without a context."""
    texts = {example.context or example.prompt for examples in sets for example in examples}
    return {ngram for text in texts for ngram in ngrams(text, words)}


def overlap(examples: Sequence[Example], training: set[str], words: int = OVERLAP_WORDS) -> float:
    """Return the share of the examples with an n-gram in `training`, rounded to four digits."""
    hits = sum(
        not ngrams(example.context or example.prompt, words).isdisjoint(training)
        for example in examples
    )
    return round(hits / len(examples), 4) if examples else 0.0


def ngrams(text: str, words: int) -> set[str]:
    """Return the distinct runs of `words` words of a text in lower case."""
    tokens = text.casefold().split()
    return {" ".join(tokens[i : i + words]) for i in range(len(tokens) - words + 1)}
