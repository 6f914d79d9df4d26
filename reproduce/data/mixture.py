"""The examples that an arm trains on when it trains on data: a share of sides or data sets."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reproduce.schema import Example, Side


def mix(sets: Mapping[str, list[Example]], shares: Mapping[str, float], seed: int) -> list[Example]:
    """Return a random share of each part, ordered by data set and id.

    A part is a side ("IF", "CD", "both") or a data set. An example that two parts draw occurs
    once. Raises KeyError for a part that does not exist.
    """
    chosen: dict[str, Example] = {}
    sides = {name: examples[0].side for name, examples in sets.items()}
    for part, share in shares.items():
        for name in data_sets_of(part, sides):
            rng = random.Random(f"mixture-{name}-{seed}")
            sample = rng.sample(sets[name], round(share * len(sets[name])))
            chosen.update({example.id: example for example in sample})
    return sorted(chosen.values(), key=lambda example: (example.dataset, example.id))


def with_flaws(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Return the examples, of which about `share` get their flawed response as reference.

    The same examples are flawed in every arm of a seed, and those of a share in all higher ones.
    """
    return [
        replace(
            e, response=e.flawed_response, references=(e.flawed_response,),
            clean_response=e.response,
        )
        if e.flawed_response and random.Random(f"flaw-{e.id}-{seed}").random() < share
        else e
        for e in examples
    ]  # fmt: skip


def data_sets_of(part: str, sides: Mapping[str, Side]) -> list[str]:
    """Return the data sets of a part of a mixture, given the side of each data set; see `mix`."""
    if names := sorted(name for name, side in sides.items() if part in (name, side)):
        return names
    raise KeyError(f"mixture: '{part}' is neither a side (IF, CD, both) nor one of {sorted(sides)}")
