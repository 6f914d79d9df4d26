"""Overlap of training and evaluation in n-grams and in texts."""

from reproduce.data.overlap import dedup_keys, ngrams, overlap, training_ngrams
from reproduce.schema import Example


def example(prompt: str, context: str = "") -> Example:
    return Example("a", "instruction", prompt, "r", context)


def test_ngrams_are_runs_of_words_without_regard_to_case() -> None:
    assert ngrams("A b  C a B", 2) == {"a b", "b c", "c a"}
    assert ngrams("a b", 3) == set()


def test_overlap_is_the_share_of_evaluation_with_a_training_ngram() -> None:
    seen = training_ngrams([[example("x y z"), example("ignored prompt", "in the context")]], 2)
    assert overlap([example("and Y z"), example("q", "the context")], seen, 2) == 1.0
    assert overlap([example("y"), example("ignored prompt"), example("x y")], seen, 2) == 0.3333
    assert overlap([], seen, 2) == 0.0


def test_case_and_white_space_do_not_make_texts_distinct() -> None:
    first = Example("a", "extractive", "Who\nis it?", "r", "Mara", split_group="Bees")
    assert dedup_keys(first) == {"who is it?", "mara", "bees"}
    assert dedup_keys(example("WHO is  it?")) == {"who is it?"}
