"""Batches: every row once, data sets mixed or rows of like length, as the seed decides."""

import itertools
import random

import pytest

from reproduce.config import Training
from reproduce.training.sampler import Batches, num_steps


@pytest.mark.parametrize("window", [1, 3, 50])
@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (8, 4), (203, 4), (450, 8), (7, 1)])
def test_an_epoch_holds_every_row_once(
    count: int, size: int, window: int, rng: random.Random
) -> None:
    batches = Batches([rng.randrange(5, 120) for _ in range(count)], size, window, 1)
    assert sorted(batches) == list(range(count)) and len(batches) == count


def test_a_batch_is_a_random_choice_of_rows_sorted_by_length(rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(400)]
    order = list(Batches(lengths, 16, 1, 1))
    batches = [order[start : start + 16] for start in range(0, 400, 16)]
    for batch in batches:
        assert [lengths[row] for row in batch] == sorted(lengths[row] for row in batch)
    # A data set is a block of 100 rows: of 16 rows at random 4 are in it, none of them in 1 %.
    shares = [sum(row < 100 for row in batch) for batch in batches]
    assert max(shares) < 12 and shares.count(0) < 4 and len(set(shares)) > 2
    assert all(90 < sum(batch) / 16 < 310 for batch in batches)  # Mean 200, sd 29.


def test_a_window_puts_rows_of_like_length_in_batches_in_random_order(rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(405)]
    order = list(Batches(lengths, 8, 50, 1))
    batches = [[lengths[row] for row in order[start : start + 8]] for start in range(0, 400, 8)]
    assert all(max(batch) - min(batch) <= 15 for batch in batches)
    # Sorted, neighbours would never be far apart; shuffled, they are a third of the range.
    jumps = [abs(a[0] - b[0]) for a, b in itertools.pairwise(batches)]
    assert sum(jumps) / len(jumps) > 20


@pytest.mark.parametrize("window", [1, 50])
def test_rows_that_fill_no_batch_are_any_rows(window: int) -> None:
    # 3 rows of 43 come last: drawn alike they have the mean rank 21, and not always the longest.
    last = [row for seed in range(200) for row in list(Batches(range(43), 8, window, seed))[40:]]
    assert 18 < sum(last) / len(last) < 24 and min(last) < 5 and max(last) > 37


def test_the_seed_decides_the_batches() -> None:
    for lengths in (range(40), [7] * 40):
        one, again, other = (list(Batches(lengths, 4, 2, seed)) for seed in (1, 1, 2))
        assert one == again != other


def test_every_epoch_has_its_own_order_that_does_not_depend_on_the_first() -> None:
    whole, late = (Batches(range(40), 4, 1, 3) for _ in range(2))
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
