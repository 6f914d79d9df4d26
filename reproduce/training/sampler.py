"""The order in which training visits its rows."""

import math
import random
from collections.abc import Iterator, Sequence

from reproduce.config import Training


class MixedBatches:
    """A sampler that visits rows in random order, a new one per epoch.

    Every batch of an optimiser step is a random choice, so it mixes data sets and sides. Within a
    batch rows are sorted by length, so that its micro-batches hold rows of like length.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Start with epoch 0 of the random streams that `seed` names."""
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; the Trainer calls it, also when a run is resumed."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the rows of the epoch."""
        order = random.Random(self.seed + self.epoch).sample(range(len(self)), len(self))
        for start in range(0, len(order), self.batch_size):
            yield from sorted(
                order[start : start + self.batch_size], key=lambda row: self.lengths[row]
            )


def num_steps(num_rows: int, settings: Training) -> int:
    """Return the number of optimiser steps of a run over `num_rows` rows."""
    if settings.epochs is None:
        return settings.steps or 1
    return max(1, math.ceil(math.ceil(num_rows / settings.batch_size) * settings.epochs))
