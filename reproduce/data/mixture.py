"""Which examples an arm trains on when it trains on data: a share of each side or data set."""

import random
from collections.abc import Mapping

from reproduce.schema import Example, Side

Sets = Mapping[str, list[Example]]


def mix(sets: Sets, shares: Mapping[str, float], seed: int) -> list[Example]:
    """Return a random share of each named part, ordered by data set and id.

    A part is a side ("IF", "CD"), the n-th data set of a side by name ("IF/1") or a data set.
    An example that two parts draw is there once.

    Raises KeyError naming a part that does not exist.
    """
    chosen: dict[str, Example] = {}
    sides = {name: examples[0].side for name, examples in sets.items()}
    for part, share in shares.items():
        for name in named(sides, part):
            rng = random.Random(f"mixture-{name}-{seed}")
            drawn = rng.sample(sets[name], round(share * len(sets[name])))
            chosen.update({example.id: example for example in drawn})
    return sorted(chosen.values(), key=lambda example: (example.dataset, example.id))


def named(sides: Mapping[str, Side], part: str) -> list[str]:
    """Return the data sets that a part of a mixture means, given the side of each; see `mix`."""
    side, slash, position = part.partition("/")
    names = sorted(name for name, its in sides.items() if its == side)
    if part in sides:
        return [part]
    if not slash and names:
        return names
    if position.isdecimal() and 1 <= int(position) <= len(names):
        return [names[int(position) - 1]]
    raise KeyError(
        f"mixture: '{part}' is neither a side (IF, CD), nor a side and a position (IF/1), "
        f"nor one of {sorted(sides)}"
    )
