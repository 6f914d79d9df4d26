"""The order in which training visits its rows: batches of like length, in random order."""

import math
import random
from collections.abc import Iterator, Sequence

from reproduce.config import Training


class LengthBatches:
    """A sampler that visits rows in the order of `length_batches`, a new order per epoch."""

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
        """Return the order of the epoch."""
        return iter(length_batches(self.lengths, self.batch_size, self.seed + self.epoch))


def length_batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Return an order of the rows in which each batch holds rows of like length.

    Rows are shuffled and sorted by length within groups of 50 batches; then the batches are
    shuffled. Rows that fill no batch are a random choice and come last. The Trainer's own
    group_by_length leaves each group in falling order of length, so that one kind of row follows
    another and the model swings between them.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(lengths)), len(lengths))
    full = len(order) // batch_size * batch_size
    batches: list[list[int]] = []
    for start in range(0, full, 50 * batch_size):
        end = min(start + 50 * batch_size, full)
        group = sorted(order[start:end], key=lambda row: lengths[row])
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    rng.shuffle(batches)
    return [row for batch in batches for row in batch] + order[full:]


def num_steps(num_rows: int, settings: Training) -> int:
    """Return the number of optimiser steps of a run over `num_rows` rows."""
    return max(1, math.ceil(math.ceil(num_rows / settings.batch_size) * settings.epochs))
