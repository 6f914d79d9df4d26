"""ReSet's selection: which candidates an arm is trained on."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from reproduce.config import Selection, Weights
from reproduce.judges.text import has_words
from reproduce.schema import Candidate, Example, Judgement


def reward(judgement: Judgement, weights: Weights) -> float:
    """Return the weighted mean of the scores that apply; 0 if none with a weight does."""
    parts = [
        (weight, score)
        for weight, score in (
            (weights.task, judgement.task),
            (weights.faithfulness, judgement.faithfulness),
            (weights.instruction, judgement.instruction),
        )
        if score is not None
    ]
    # Python 3.12 adds floats otherwise than 3.11; rounded once, the sum is the same in both.
    total = math.fsum(weight for weight, _ in parts)
    return math.fsum(weight * score for weight, score in parts) / total if total else 0.0


def candidate_pool(candidates: Sequence[Candidate], selection: Selection) -> list[Candidate]:
    """Return the candidates that a selection looks at.

    With a `pool_fraction`, strategies take turns, lowest sample first.
    """
    strategies, fraction = selection.strategies, selection.pool_fraction
    pool = [c for c in candidates if strategies is None or c.strategy in strategies]
    if fraction is None:
        return pool
    counts = Counter(c.example for c in candidates)
    by_prompt: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in sorted(pool, key=lambda c: c.sample):
        by_prompt[candidate.example].append(candidate)
    return [
        candidate
        for example, group in by_prompt.items()
        for candidate in group[: ceil_fraction(counts[example], fraction)]
    ]


def complete_candidates(candidates: Sequence[Candidate], selection: Selection) -> list[Candidate]:
    """Return the candidates of the pool that are complete, of which a selection chooses.

    An empty or truncated response is no example: training on it would teach the model to say
    nothing, or to stop anywhere.
    """
    return [
        c for c in candidate_pool(candidates, selection) if c.finished and has_words(c.response)
    ]


def select_best(
    candidates: Sequence[Candidate], selection: Selection, seed: int
) -> list[tuple[Candidate, float]]:
    """Return the selected candidates with the reward that they were ranked by.

    The best candidate of each prompt comes first, then in each data set the best
    `keep_fraction` of its prompts. A seeded draw breaks ties.
    """
    rng = random.Random(f"select-{seed}")
    rewards = [reward(judgement_of(c), selection.weights) for c in candidates]
    if selection.rule == "shuffled":
        rng.shuffle(rewards)
    elif selection.rule == "random":
        rewards = [0.0] * len(candidates)
    ranked = sorted(
        zip(rewards, (rng.random() for _ in candidates), candidates, strict=True),
        key=lambda entry: (-entry[0], entry[1]),
    )
    best: dict[str, dict[str, tuple[Candidate, float]]] = defaultdict(dict)
    for value, _, candidate in ranked:
        best[candidate.dataset].setdefault(candidate.example, (candidate, value))
    return [
        chosen
        for dataset in sorted(best)
        for chosen in list(best[dataset].values())[
            : ceil_fraction(len(best[dataset]), selection.keep_fraction)
        ]
    ]


def training_examples_from(
    prompts: Sequence[Example], candidates: Sequence[Candidate], selection: Selection, seed: int
) -> list[Example]:
    """Return the prompts of a selection with the selected (or the reference) responses."""
    examples = {example.id: example for example in prompts}
    selected = select_best(complete_candidates(candidates, selection), selection, seed)
    if selection.rule == "reference":
        return [examples[candidate.example] for candidate, _ in selected]
    return [replace(examples[c.example], response=c.response) for c, _ in selected]


def judgement_of(candidate: Candidate) -> Judgement:
    """Return the judgement of a scored candidate."""
    assert candidate.judgement is not None, "select from the stage `score`, not from `candidates`"
    return candidate.judgement


def ceil_fraction(count: int, fraction: float) -> int:
    """Return `fraction` of `count`, rounded up; 0.07 of 100 is 7, not a rounding error more."""
    return math.ceil(round(fraction * count, 6))
