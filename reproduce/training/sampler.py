"""The order in which training visits its rows."""

import math
import random
from collections.abc import Iterator, Sequence

from reproduce.config import Training


class Batches:
    """A sampler that visits rows in random batches, in a new order per epoch.

    With a `window` of 1 every batch of an optimiser step is a random choice, so it mixes data sets.
    A wider window sorts so many batches by length before it cuts them, and saves padding. Rows of
    a batch are sorted by length, so that its micro-batches hold rows of like length.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, window: int, seed: int) -> None:
        """Start with epoch 0 of the random streams that `seed` names."""
        self.lengths, self.batch_size, self.window = lengths, batch_size, window
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; the Trainer calls it, also when a run is resumed."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the rows of the epoch; those that fill no batch are a random choice, at the end."""
        rng, size = random.Random(self.seed + self.epoch), self.batch_size
        order = rng.sample(range(len(self)), len(self))
        full = len(order) // size * size
        batches: list[list[int]] = []
        for start in range(0, full, size * self.window):
            rows = order[start : min(start + size * self.window, full)]
            rows.sort(key=lambda row: self.lengths[row])
            batches += [rows[i : i + size] for i in range(0, len(rows), size)]
        rng.shuffle(batches)
        for batch in [*batches, order[full:]]:
            yield from batch


def num_steps(num_rows: int, settings: Training) -> int:
    """Return the number of optimiser steps of a run over `num_rows` rows."""
    if settings.epochs is None:
        return settings.steps or 1
    return max(1, math.ceil(math.ceil(num_rows / settings.batch_size) * settings.epochs))
