"""Batches: every row once, rows of like length together, in an order that the seed decides."""

import itertools
import random

import pytest

from reproduce.config import Training
from reproduce.training.sampler import LengthBatches, length_batches, num_steps


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (8, 4), (203, 4), (450, 8), (7, 1)])
def test_batches_hold_every_row_once(count: int, size: int, rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(count)]
    assert sorted(length_batches(lengths, size, 1)) == list(range(count))


def test_batches_hold_rows_of_like_length_in_random_order(rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(405)]
    order = length_batches(lengths, 8, 1)
    batches = [[lengths[i] for i in order[b : b + 8]] for b in range(0, 400, 8)]
    assert all(max(batch) - min(batch) <= 15 for batch in batches)
    # Sorted, neighbours would never be far apart; shuffled, they are a third of the range.
    jumps = [abs(a[0] - b[0]) for a, b in itertools.pairwise(batches)]
    assert sum(jumps) / len(jumps) > 20


def test_rows_that_fill_no_batch_are_any_rows() -> None:
    # 3 rows of 43 come last: drawn alike they have the mean rank 21, and not always the longest.
    last = [i for seed in range(200) for i in length_batches(range(43), 8, seed)[40:]]
    assert 18 < sum(last) / len(last) < 24 and min(last) < 5 and max(last) > 37


def test_the_seed_decides_the_batches() -> None:
    lengths = list(range(40))
    assert length_batches(lengths, 4, 1) == length_batches(lengths, 4, 1)
    assert length_batches(lengths, 4, 1) != length_batches(lengths, 4, 2)
    assert length_batches([7] * 40, 4, 1) != length_batches([7] * 40, 4, 2)


def test_every_epoch_has_its_own_order_that_does_not_depend_on_the_first() -> None:
    whole, late = (LengthBatches(range(40), 4, 3) for _ in range(2))
    orders = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        orders.append(list(whole))
    late.set_epoch(2)
    assert list(late) == orders[2]
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "steps"),
    [(16, 8, 1, 2), (17, 8, 1, 3), (17, 8, 2, 6), (17, 8, 0.5, 2), (1, 8, 0.1, 1), (8, 8, 3, 3)],
)
def test_steps(settings: Training, rows: int, batch: int, epochs: float, steps: int) -> None:
    changed = settings.model_copy(update={"batch_size": batch, "epochs": epochs})
    assert num_steps(rows, changed) == steps
