"""Intervals against closed forms, a simulation of their coverage, and scikit-learn's AUC."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from reproduce.intervals import (
    Grid,
    Interval,
    auc_interval,
    holm,
    mean_interval,
    share_interval,
)

Scores = list[tuple[str, float]]
Z = 1.959964


def normal(seeds: int, prompts: int, stream: int = 0) -> Grid:
    return np.random.default_rng(stream).normal(size=(seeds, prompts))


def reach(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


def test_one_seed_has_the_interval_of_a_mean_over_prompts() -> None:
    grid = normal(1, 40)
    interval = mean_interval([grid], 0.95)
    assert interval.mean == pytest.approx(grid.mean())
    assert reach(interval) == pytest.approx(Z * grid.std(ddof=1) / np.sqrt(40))
    assert (interval.prompts, interval.seeds) == (40, 1)


def test_with_identical_prompts_it_is_that_of_students_t_over_seeds() -> None:
    levels = normal(4, 1, 3)
    interval = mean_interval([np.repeat(levels, 7, axis=1)], 0.9)
    expected = student.ppf(0.95, 3) * levels.std(ddof=1) / 2
    assert reach(interval) == pytest.approx(expected)


def test_both_parts_are_added_in_quadrature() -> None:
    rows, columns = normal(5, 1, 1), normal(1, 30, 2)
    seeds = student.ppf(0.975, 4) * rows.std(ddof=1) / np.sqrt(5)
    prompts = Z * columns.std(ddof=1) / np.sqrt(30)
    assert reach(mean_interval([rows + columns], 0.95)) == pytest.approx(np.hypot(seeds, prompts))


def test_the_macro_average_has_the_variance_of_a_mean_of_means() -> None:
    grids = [normal(1, 10, 1), normal(1, 90, 2)]
    variance = (grids[0].var(ddof=1) / 10 + grids[1].var(ddof=1) / 90) / 4
    interval = mean_interval(grids, 0.95)
    assert interval.mean == pytest.approx((grids[0].mean() + grids[1].mean()) / 2)
    assert reach(interval) == pytest.approx(Z * np.sqrt(variance))
    assert interval.prompts == 100


def test_the_seeds_of_all_data_sets_are_the_same() -> None:
    # Their effects cancel between the two sets.
    levels = np.array([[-1.0], [0.0], [2.0]])
    grids = [np.repeat(levels, 5, axis=1), np.repeat(-levels, 5, axis=1)]
    assert reach(mean_interval(grids, 0.95)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_p_value_is_that_of_the_interval_that_just_reaches_0(seeds: int) -> None:
    grid = normal(seeds, 30, 5) + 0.2
    interval = mean_interval([grid], 0.95)
    edge = mean_interval([grid], 1 - interval.p)
    assert 0 < interval.p < 1 and min(abs(edge.low), abs(edge.high)) < 1e-6
    assert mean_interval([-grid], 0.95).p == pytest.approx(interval.p)
    assert mean_interval([grid - grid.mean()], 0.95).p == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize("spread", [0.0, 0.08, 0.2])
def test_the_interval_covers_about_as_often_as_it_says(seeds: int, spread: float) -> None:
    """Three data sets of 80 prompts, with 30 % of a prompt's variance shared by all seeds."""
    rng, trials, covered = np.random.default_rng(1), 400, 0
    for _ in range(trials):
        level = rng.normal(0, spread, (seeds, 1))
        grids = [
            level + 0.45 * (np.sqrt(0.3) * rng.normal(size=(1, 80))
                            + np.sqrt(0.7) * rng.normal(size=(seeds, 80)))
            for _ in range(3)
        ]  # fmt: skip
        interval = mean_interval(grids, 0.95)
        covered += interval.low <= 0 <= interval.high
    assert 0.93 <= covered / trials <= 0.99


@pytest.mark.parametrize(
    "grids",
    [
        [],
        [np.zeros((0, 3))],
        [np.zeros((2, 3)), np.zeros((3, 3))],
        [np.zeros((1, 3)), np.array([[0.0, np.nan]])],
    ],
)
def test_grids_of_other_seeds_or_without_scores_are_errors(grids: list[Any]) -> None:
    with pytest.raises(ValueError, match="grids"):
        mean_interval(grids, 0.95)


def test_a_share_pools_the_cases_of_all_data_sets() -> None:
    cases = [np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0]])]
    hits = [np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, 0.0]])]
    assert share_interval(hits, cases, 0.95).mean == pytest.approx(2 / 3)
    with pytest.raises(ValueError):
        share_interval([np.zeros((1, 3))], [np.zeros((1, 3))], 0.95)


def test_a_share_has_the_width_of_a_binomial_one() -> None:
    hits = (np.random.default_rng(9).random((1, 500)) < 0.3).astype(float)
    expected = Z * np.sqrt(hits.mean() * (1 - hits.mean()) / 499)
    assert reach(share_interval([hits], [np.ones((1, 500))], 0.95)) == pytest.approx(expected)


def test_shares_and_areas_of_0_and_1_have_wilsons_interval() -> None:
    ones = np.ones((2, 80))
    high = Z**2 / (80 + Z**2)  # 0.0458
    none, every = (share_interval([level * ones], [ones], 0.95) for level in (0, 1))
    assert (none.low, none.high) == (0, pytest.approx(high))
    assert (every.low, every.high) == (pytest.approx(1 - high), 1)
    names = [f"e{n}" for n in range(80)]
    area = auc_interval([(n, 1.0) for n in names], [(n, 0.0) for n in names], 0.95)
    assert (area.mean, area.low, area.high) == (1, pytest.approx(1 - high), 1)


def test_a_share_stays_between_0_and_1() -> None:
    hits = np.zeros((1, 20))
    hits[0, 0] = 1
    interval = share_interval([hits], [np.ones((1, 20))], 0.95)
    assert (interval.mean, interval.low) == (0.05, 0) and interval.high < 1


def plain_auc(right: Scores, wrong: Scores) -> tuple[float, float]:
    """Return the area and its variance (Obuchowski, 1997), by loops over pairs."""
    wins = [[(a > b) + (a == b) / 2 for _, b in wrong] for _, a in right]
    area = sum(map(sum, wins)) / len(right) / len(wrong)
    clusters: dict[str, float] = defaultdict(float)
    for (name, _), row in zip(right, wins, strict=True):
        clusters[name] += (sum(row) / len(wrong) - area) / len(right)
    for (name, _), *column in zip(wrong, *wins, strict=True):
        clusters[name] += (sum(column) / len(right) - area) / len(wrong)
    count = len(clusters)
    return area, sum(value**2 for value in clusters.values()) * count / (count - 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_and_its_variance_are_those_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right, wrong = (
        [(f"e{rng.integers(20)}", float(rng.integers(6) + plus)) for _ in range(count)]
        for plus, count in ((2, 40), (0, 25))
    )
    interval = auc_interval(right, wrong, 0.95)
    labels, scores = [1] * 40 + [0] * 25, [score for _, score in right + wrong]
    area, variance = plain_auc(right, wrong)
    assert interval.mean == pytest.approx(area)
    assert interval.mean == pytest.approx(roc_auc_score(labels, scores))
    assert reach(interval) == pytest.approx(Z * np.sqrt(variance))
    assert interval.prompts == len({name for name, _ in right + wrong})


def test_the_variance_of_an_area_is_that_of_theory() -> None:
    rng = np.random.default_rng(0)
    right, wrong = ([(f"{mean}{n}", rng.normal(mean, 1)) for n in range(200)] for mean in (1, 0))
    a = (interval := auc_interval(right, wrong, 0.95)).mean
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)  # Hanley and McNeil (1982), equation 3.
    variance = (a * (1 - a) + 199 * (q1 - a * a + q2 - a * a)) / 200**2
    assert reach(interval) == pytest.approx(Z * np.sqrt(variance), rel=0.15)


def test_the_same_responses_again_make_nothing_surer() -> None:
    rng = np.random.default_rng(1)
    right, wrong = ([(f"e{n}", rng.normal(mean, 1)) for n in range(40)] for mean in (1, 0))
    once, often = auc_interval(right, wrong, 0.95), auc_interval(right * 10, wrong * 10, 0.95)
    assert (often.mean, often.low) == (pytest.approx(once.mean), pytest.approx(once.low))
    assert often.prompts == once.prompts == 40


@pytest.mark.parametrize(("right", "wrong"), [([], []), ([("e", 1.0)], []), ([], [("e", 1.0)])])
def test_an_area_without_both_is_an_error(right: Scores, wrong: Scores) -> None:
    with pytest.raises(ValueError, match=f"{len(right)} right and {len(wrong)} wrong"):
        auc_interval(right, wrong, 0.95)


def test_holm_by_hand() -> None:
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 raised to the one before, 0.6 * 1.
    assert holm([0.6, 0.01, 0.03, 0.02]) == pytest.approx([0.6, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.05]) == [0.05] and holm([]) == []
