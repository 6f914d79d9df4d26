"""ReSet's selection: which candidates an arm is trained on."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from reproduce.config import Selection, Weights
from reproduce.judges.text import has_words
from reproduce.schema import Candidate, Example, Judgement

FAITHFUL = 0.75
"""With more faithfulness a response passes: of up to four sentences none is contradicted."""


def reward(judgement: Judgement, weights: Weights) -> float:
    """Return the weighted mean of the scores that apply, 0 to 1; 0 if none with a weight does."""
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


def accepted(judgement: Judgement) -> bool:
    """Return whether the judges accept a response.

    It must have more faithfulness than FAITHFUL and follow all instructions, as far as these apply.
    """
    faithfulness, instruction = judgement.faithfulness, judgement.instruction
    return (faithfulness is None or faithfulness > FAITHFUL) and instruction in (None, 1.0)


def candidate_pool(candidates: Sequence[Candidate], selection: Selection) -> list[Candidate]:
    """Return the candidates that a selection looks at: strategies take turns, in their order."""
    by_prompt: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda c: c.sample):
        by_prompt[candidate.example].append(candidate)
    return [c for group in by_prompt.values() for c in group[: selection.candidates]]


def is_complete(candidate: Candidate) -> bool:
    """Return whether a response may be an example: it has words, and the model ended it.

    Training on others would teach the model to say nothing, or to stop anywhere.
    """
    return candidate.finished and has_words(candidate.response)


def complete_candidates(candidates: Sequence[Candidate], selection: Selection) -> list[Candidate]:
    """Return the candidates of the pool that are complete, of which a selection chooses."""
    return [c for c in candidate_pool(candidates, selection) if is_complete(c)]


def select(
    candidates: Sequence[Candidate], selection: Selection, seed: int
) -> list[tuple[Candidate, float]]:
    """Return one candidate per selected prompt, with the reward that it was ranked by.

    It is the best candidate of the prompt, or a random one by the rule "random". Of each data set
    the best `keep_fraction` of the prompts are kept. A seeded draw breaks ties.
    """
    rng = random.Random(f"select-{seed}")
    ranked = []
    for candidate in candidates:
        judgement = judgement_of(candidate)
        faithfulness = judgement.faithfulness
        if faithfulness is not None and rng.random() < selection.noise:
            judgement = replace(judgement, faithfulness=1 - faithfulness)
        value = 0.0 if selection.rule == "random" else reward(judgement, selection.weights)
        ranked.append((value, rng.random(), candidate))
    ranked.sort(key=lambda entry: (-entry[0], entry[1]))
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
    prompts: Sequence[Example],
    references: Sequence[Candidate],
    candidates: Sequence[Candidate],
    selection: Selection,
    seed: int,
) -> list[Example]:
    """Return the prompts of a selection, with the responses that its rule names.

    `references` are the judged reference responses of the prompts.
    """
    examples = {example.id: example for example in prompts}
    is_accepted = {c.example: accepted(judgement_of(c)) for c in references}
    chosen = []
    for candidate, _ in select(complete_candidates(candidates, selection), selection, seed):
        example = examples[candidate.example]
        if selection.accepted and not is_accepted[example.id]:
            continue
        if selection.rule == "clean":
            example = replace(example, response=example.clean_response or example.response)
        elif selection.rule != "reference" and not (
            selection.rule == "repaired" and is_accepted[example.id]
        ):
            example = replace(example, response=candidate.response)
        chosen.append(example)
    return chosen


def preferences_from(
    prompts: Sequence[Example], candidates: Sequence[Candidate], selection: Selection, seed: int
) -> tuple[list[Example], list[str]]:
    """Return the selected prompts with their best response, and their worst responses.

    Prompts whose candidates have one reward are left out.
    """
    examples = {example.id: example for example in prompts}
    complete = complete_candidates(candidates, selection)
    worst: dict[str, tuple[float, str]] = {}
    for candidate in complete:
        value = (reward(judgement_of(candidate), selection.weights), candidate.response)
        worst[candidate.example] = min(worst.get(candidate.example, value), value)
    chosen = [
        best for best, value in select(complete, selection, seed) if value > worst[best.example][0]
    ]
    return (
        [replace(examples[best.example], response=best.response) for best in chosen],
        [worst[best.example][1] for best in chosen],
    )


def judgement_of(candidate: Candidate) -> Judgement:
    """Return the judgement of a scored candidate."""
    assert candidate.judgement is not None, "select from the stage `score`, not from `candidates`"
    return candidate.judgement


def ceil_fraction(count: int, fraction: float) -> int:
    """Return `fraction` of `count`, rounded up; 0.07 of 100 is 7, not a rounding error more."""
    return math.ceil(round(fraction * count, 6))
