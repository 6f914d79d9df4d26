"""Batches: every row once, data sets mixed, in an order that the seed decides."""

import random

import pytest

from reproduce.config import Training
from reproduce.training.sampler import MixedBatches, num_steps


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (8, 4), (203, 4), (450, 8), (7, 1)])
def test_an_epoch_holds_every_row_once(count: int, size: int, rng: random.Random) -> None:
    batches = MixedBatches([rng.randrange(5, 120) for _ in range(count)], size, 1)
    assert sorted(batches) == list(range(count)) and len(batches) == count


def test_a_batch_is_a_random_choice_of_rows_sorted_by_length(rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(400)]
    order = list(MixedBatches(lengths, 16, 1))
    batches = [order[start : start + 16] for start in range(0, 400, 16)]
    for batch in batches:
        assert [lengths[row] for row in batch] == sorted(lengths[row] for row in batch)
    # A data set is a block of 100 rows: of 16 rows at random 4 are in it, and never 16 or none
    # of most batches (the chance of none is 0.01).
    shares = [sum(row < 100 for row in batch) for batch in batches]
    assert max(shares) < 12 and shares.count(0) < 4 and len(set(shares)) > 2
    # 25 batches in random order: the mean row of each is near 200 (sd 29).
    assert all(90 < sum(batch) / 16 < 310 for batch in batches)


def test_the_seed_decides_the_batches_whatever_the_lengths() -> None:
    one, again, other = (list(MixedBatches([7] * 40, 4, seed)) for seed in (1, 1, 2))
    assert one == again != other
    sizes = list(MixedBatches(range(40), 4, 1))
    assert [{*sizes[n : n + 4]} for n in range(0, 40, 4)] == [
        {*one[n : n + 4]} for n in range(0, 40, 4)
    ]


def test_every_epoch_has_its_own_order_that_does_not_depend_on_the_first() -> None:
    whole, late = (MixedBatches(range(40), 4, 3) for _ in range(2))
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
def test_steps_of_epochs(
    settings: Training, rows: int, batch: int, epochs: float, steps: int
) -> None:
    changed = settings.model_copy(update={"batch_size": batch, "epochs": epochs})
    assert num_steps(rows, changed) == steps


def test_steps_may_be_given_whatever_the_number_of_rows(settings: Training) -> None:
    changed = settings.model_copy(update={"epochs": None, "steps": 7})
    assert {num_steps(rows, changed) for rows in (1, 17, 4000)} == {7}
