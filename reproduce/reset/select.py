"""ReSet's third step: which candidates the model is tuned further on."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reproduce.config import Selection, Weights
from reproduce.schema import Example

Row = dict[str, Any]


def reward(row: Mapping[str, Any], weights: Weights) -> float:
    """Return the weighted mean of the judges that apply; 0 if none with a weight does."""
    parts = [
        (weight, row[name])
        for name, weight in (
            ("task", weights.task),
            ("faithfulness", weights.faithfulness),
            ("instruction", weights.instruction),
        )
        if row[name] is not None
    ]
    total = sum(weight for weight, _ in parts)
    return sum(weight * score for weight, score in parts) / total if total else 0.0


def taken(rows: Sequence[Row], selection: Selection) -> list[Row]:
    """Return the candidates that a selection looks at.

    With a share of the `candidates` only, strategies take turns, lowest sample first.
    """
    wanted, share = selection.strategies, selection.candidates
    chosen = [row for row in rows if wanted is None or row["strategy"] in wanted]
    if share is not None:
        drawn = Counter(row["example"] for row in rows)
        by_prompt: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(chosen, key=lambda row: row["sample"]):
            by_prompt[row["example"]].append(row)
        chosen = [
            row
            for name, found in by_prompt.items()
            for row in found[: share_of(drawn[name], share)]
        ]
    return chosen


def considered(rows: Sequence[Row], selection: Selection) -> list[Row]:
    """Return the candidates that a selection chooses from: those `taken` that are whole.

    An empty one, and one that the limit on new tokens cut off, has taken its turn but is no
    example: training on it would teach the model to say nothing, or to stop anywhere.
    """
    return [row for row in taken(rows, selection) if row["response"] and row["ended"]]


def select(rows: Sequence[Row], selection: Selection, seed: int) -> list[Row]:
    """Return the kept candidates, each with its "reward".

    The best candidate of each prompt is found first, then in each data set the best share
    `keep` of its prompts. Ties are broken by a seeded draw.
    """
    rng = random.Random(f"select-{seed}")
    rewards = [reward(row, selection.weights) for row in rows]
    if selection.rule == "shuffled":
        rng.shuffle(rewards)
    elif selection.rule == "random":
        rewards = [0.0] * len(rows)
    ranked = sorted(
        zip(rewards, (rng.random() for _ in rows), rows, strict=True),
        key=lambda entry: (-entry[0], entry[1]),
    )
    best: dict[str, dict[str, Row]] = defaultdict(dict)
    for value, _, row in ranked:
        best[row["dataset"]].setdefault(row["example"], {**row, "reward": value})
    return [
        row
        for name in sorted(best)
        for row in list(best[name].values())[: share_of(len(best[name]), selection.keep)]
    ]


def share_of(count: int, share: float) -> int:
    """Return `share` of `count`, rounded up; 0.07 of 100 is 7, whatever floats make of it."""
    return math.ceil(round(share * count, 6))


def selected_examples(
    prompts: Sequence[Example], rows: Sequence[Row], selection: Selection, seed: int
) -> list[Example]:
    """Return the training examples of a selection: prompts with the kept (or gold) responses."""
    examples = {example.id: example for example in prompts}
    kept = select(considered(rows, selection), selection, seed)
    if selection.rule == "gold":
        return [examples[row["example"]] for row in kept]
    return [replace(examples[row["example"]], response=row["response"]) for row in kept]
