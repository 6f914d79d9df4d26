"""The order in which training visits its rows: batches of like length, in random order."""

import math
import random
from collections.abc import Iterator, Sequence

from reproduce.config import Training


class LengthBatches:
    """A sampler whose order is that of `length_batches`, another one each epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Begin with epoch 0 of the streams that `seed` names."""
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; the trainer calls it, and a run that is taken up again starts late."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Return the order of the epoch."""
        return iter(length_batches(self.lengths, self.batch_size, self.seed + self.epoch))


def length_batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Return an order of the rows in which each batch holds rows of like length.

    Rows are shuffled, sorted by length within stretches of 50 batches, and the batches shuffled;
    those that fill no batch are drawn at random, and come last. Trainer's own group_by_length
    leaves each stretch in falling order of length, so that one kind of row follows the other and
    the model swings between them.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(lengths)), len(lengths))
    stretch, full = 50 * batch_size, len(order) // batch_size * batch_size
    batches: list[list[int]] = []
    for begin in range(0, full, stretch):
        near = sorted(order[begin : min(begin + stretch, full)], key=lambda i: lengths[i])
        batches += [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
    rng.shuffle(batches)
    return [index for batch in batches for index in batch] + order[full:]


def steps_in(examples: int, settings: Training) -> int:
    """Return the number of optimiser steps of one run over `examples` rows."""
    return max(1, math.ceil(math.ceil(examples / settings.batch_size) * settings.epochs))
