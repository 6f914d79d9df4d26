"""Intervals against closed forms and their limits."""

import numpy as np
import pytest

from reproduce.bootstrap import Interval, bootstrap, bootstrap_auc, bootstrap_ratio

SETTINGS = {"resamples": 4000, "confidence": 0.95, "seed": 0}


def normal(seeds: int, prompts: int, stream: int = 0) -> np.ndarray:
    return np.random.default_rng(stream).normal(size=(seeds, prompts))


def width(interval: Interval) -> float:
    return interval.high - interval.low


def normal_width(variance: float) -> float:
    return float(2 * 1.96 * np.sqrt(variance))


def test_one_seed_is_close_to_normal_theory() -> None:
    grid = normal(1, 400)
    interval = bootstrap([grid], **SETTINGS)
    assert interval.mean == pytest.approx(grid.mean())
    assert width(interval) == pytest.approx(normal_width(grid.var() / 400), rel=0.05)
    assert (interval.prompts, interval.seeds) == (400, 1)


def test_the_macro_average_has_the_variance_of_a_mean_of_means() -> None:
    grids = [normal(1, 100, 1), normal(1, 900, 2)]
    variance = (grids[0].var() / 100 + grids[1].var() / 900) / 4
    interval = bootstrap(grids, **SETTINGS)
    assert interval.mean == pytest.approx((grids[0].mean() + grids[1].mean()) / 2)
    assert width(interval) == pytest.approx(normal_width(variance), rel=0.05)


def test_with_identical_prompts_only_the_seeds_matter() -> None:
    levels = normal(40, 1, 3)
    interval = bootstrap([np.repeat(levels, 7, axis=1)], **SETTINGS)
    assert width(interval) == pytest.approx(normal_width(levels.var() / 40), rel=0.06)


def test_crossed_factors_add_their_variances() -> None:
    rng = np.random.default_rng(4)
    rows, columns = rng.normal(size=(30, 1)), rng.normal(size=(1, 50))
    expected = normal_width(rows.var() / 30 + columns.var() / 50)
    assert width(bootstrap([rows + columns], **SETTINGS)) == pytest.approx(expected, rel=0.06)


def test_seeds_are_drawn_jointly_for_all_data_sets() -> None:
    # The seeds' effects cancel between the two sets, which only joint draws keep.
    levels = np.array([[-1.0], [0.0], [2.0]])
    grids = [np.repeat(levels, 5, axis=1), np.repeat(-levels, 5, axis=1)]
    assert width(bootstrap(grids, **SETTINGS)) == pytest.approx(0, abs=1e-12)


def test_constants_have_no_width() -> None:
    interval = bootstrap([np.full((3, 9), 0.25), np.full((3, 4), 0.75)], **SETTINGS)
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    grid = normal(3, 50)
    assert bootstrap([grid], 500, 0.95, 7) == bootstrap([grid], 500, 0.95, 7)
    assert bootstrap([grid], 500, 0.95, 7) != bootstrap([grid], 500, 0.95, 8)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    intervals = [bootstrap([rng.normal(size=(1, 60))], 400, 0.9, n) for n in range(200)]
    assert 0.83 <= np.mean([i.low <= 0 <= i.high for i in intervals]) <= 0.96


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ([], "at least one"),
        ([np.zeros((0, 3))], "shape"),
        ([np.zeros(3)], "shape"),
        ([np.zeros((2, 3)), np.zeros((3, 3))], r"seeds: \[2, 3\]"),
        ([np.zeros((2, 3)), np.array([[0.0, np.nan]])], "data set 1: 1 scores are NaN"),
    ],
)
def test_errors_name_what_is_wrong(grids: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(grids, **SETTINGS)


def test_a_ratio_pools_the_cases_of_all_data_sets() -> None:
    cases = [np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0]])]
    hits = [np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, 0.0]])]
    assert bootstrap_ratio(hits, cases, **SETTINGS).mean == pytest.approx(2 / 3)
    with pytest.raises(ValueError):
        bootstrap_ratio([np.zeros((1, 3))], [np.zeros((1, 3))], **SETTINGS)


def test_a_ratio_has_the_width_of_a_share() -> None:
    hits = (np.random.default_rng(9).random((1, 500)) < 0.3).astype(float)
    expected = normal_width(hits.mean() * (1 - hits.mean()) / 500)
    interval = bootstrap_ratio([hits], [np.ones((1, 500))], **SETTINGS)
    assert width(interval) == pytest.approx(expected, rel=0.06)


def named(scores: list[float]) -> list[tuple[str, float]]:
    return [(f"e{number}", score) for number, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [([1, 2, 3], [0, 0, 0]), ([0, 0], [0, 0]), ([1, 0, 1, 1], [0, 1, 1, 0]), ([0, 1], [2, 3]),
     ([0.5, 0.2, 0.9], [0.4]), ([1], [1, 2, 0, 0])],
)  # fmt: skip
def test_auc_against_a_plain_loop(right: list[float], wrong: list[float]) -> None:
    interval = bootstrap_auc(named(right), named(wrong), 200, 0.95, 0)
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in right for b in wrong]
    assert interval.mean == pytest.approx(sum(wins) / len(wins))
    assert interval.low <= interval.mean <= interval.high
    assert interval.prompts == max(len(right), len(wrong))


def test_auc_interval_has_the_width_that_theory_gives() -> None:
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(1, 1, 200), rng.normal(0, 1, 200)
    interval = bootstrap_auc(named(list(right)), named(list(wrong)), 2000, 0.95, 0)
    a = interval.mean
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)  # Hanley and McNeil (1982), equation 3.
    variance = (a * (1 - a) + 199 * (q1 - a * a + q2 - a * a)) / 200**2
    assert width(interval) / normal_width(variance) == pytest.approx(1, abs=0.2)


def test_responses_to_one_example_are_drawn_together() -> None:
    # Each example ten times: as many scores, and no more known than from each once.
    rng = np.random.default_rng(1)
    right, wrong = named(list(rng.normal(1, 1, 40))), named(list(rng.normal(0, 1, 40)))
    once = bootstrap_auc(right, wrong, 2000, 0.95, 0)
    often = bootstrap_auc(right * 10, wrong * 10, 2000, 0.95, 0)
    assert often.mean == pytest.approx(once.mean) and often.prompts == once.prompts == 40
    assert often.low == pytest.approx(once.low) and often.high == pytest.approx(once.high)


@pytest.mark.parametrize(("right", "wrong"), [([], []), ([("e", 1.0)], []), ([], [("e", 1.0)])])
def test_auc_without_both_is_an_error(
    right: list[tuple[str, float]], wrong: list[tuple[str, float]]
) -> None:
    with pytest.raises(ValueError, match=f"{len(right)} right and {len(wrong)} wrong"):
        bootstrap_auc(right, wrong, 100, 0.95, 0)
