"""Overlap of training and evaluation in n-grams."""

from reproduce.data.overlap import overlap, training_ngrams
from reproduce.schema import Example


def example(prompt: str, context: str = "") -> Example:
    return Example("a", "instruction", prompt, "r", context)


def test_overlap_is_the_share_of_evaluation_with_a_training_ngram() -> None:
    seen = training_ngrams([[example("x y z"), example("ignored prompt", "in the context")]], 2)
    assert overlap([example("and Y z"), example("q", "the context")], seen, 2) == 1.0
    assert overlap([example("y"), example("ignored prompt"), example("x y")], seen, 2) == 0.3333
    assert overlap([], seen, 2) == 0.0
