"""Intervals by the bootstrap over two crossed factors: training seeds and prompts.

Every seed answers the same prompts, so a table of scores has two sources of chance. The
percentile interval is Efron and Tibshirani (An Introduction to the Bootstrap, 1993, chapter 13);
resampling rows and columns independently is the "pigeonhole bootstrap" of Owen (Annals of Applied
Statistics 1(2), 2007), who finds its variance mildly conservative for large tables.
`scipy.stats.bootstrap` resamples one axis of each sample, so it would treat either the seeds or
the prompts as fixed.

With few seeds the seed part is rough: n resampled seeds have (n - 1) / n of their variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]
"""Scores of one data set: a row per seed, a column per prompt."""
Scored = tuple[str, float]
"""The id of an example, and the score of a response to it."""


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile interval, and the numbers of prompts and seeds behind it."""

    mean: float
    low: float
    high: float
    prompts: int
    seeds: int


def bootstrap(values: Sequence[Grid], resamples: int, confidence: float, seed: int) -> Interval:
    """Return the mean over data sets of their mean scores, with its interval.

    Each grid is (seeds, prompts) of one data set. Seeds are drawn with replacement once for all
    data sets, prompts within each data set. For a paired difference pass x - y.

    Raises ValueError if there is no score, the seeds differ in number, or a score is NaN.
    """
    seeds = _count_seeds(values)
    rng = np.random.default_rng(seed)
    seed_weights = _weights(rng, resamples, seeds)
    means = sum(
        _weighted(seed_weights, grid, _weights(rng, resamples, grid.shape[1])) for grid in values
    ) / len(values)
    centre = sum(float(grid.mean()) for grid in values) / len(values)
    return _interval(centre, np.asarray(means), confidence, values)


def bootstrap_ratio(
    hits: Sequence[Grid], cases: Sequence[Grid], resamples: int, confidence: float, seed: int
) -> Interval:
    """Return sum(hits) / sum(cases) over all data sets together, with its interval.

    Both are grids of counts. Resamples without a case are left out. Raises ValueError as
    `bootstrap` does, and if there is no case at all.
    """
    seeds = _count_seeds([*hits, *cases])
    total = sum(float(grid.sum()) for grid in cases)
    if not total:
        raise ValueError("a ratio needs at least one case")
    rng = np.random.default_rng(seed)
    seed_weights = _weights(rng, resamples, seeds)
    above, below = np.zeros(resamples), np.zeros(resamples)
    for hit, case in zip(hits, cases, strict=True):
        prompt_weights = _weights(rng, resamples, case.shape[1]) * case.shape[1]
        above += _weighted(seed_weights, hit, prompt_weights)
        below += _weighted(seed_weights, case, prompt_weights)
    centre = sum(float(grid.sum()) for grid in hits) / total
    return _interval(centre, above[below > 0] / below[below > 0], confidence, cases)


def bootstrap_auc(
    right: Sequence[Scored], wrong: Sequence[Scored], resamples: int, confidence: float, seed: int
) -> Interval:
    """Return the area under the ROC curve of right against wrong responses, with its interval.

    It is the chance that a right response scores above a wrong one, where a tie counts half.
    Examples are resampled, each with all its responses. Resamples without a right or a wrong
    response are left out. Raises ValueError without both.
    """
    if not right or not wrong:
        raise ValueError(f"{len(right)} right and {len(wrong)} wrong scores: both are needed")
    names, examples = np.unique([name for name, _ in (*right, *wrong)], return_inverse=True)
    levels, ranks = np.unique([score for _, score in (*right, *wrong)], return_inverse=True)
    sides = (slice(len(right)), slice(len(right), None))

    def area(weights: Grid) -> float:
        above, below = (
            np.bincount(ranks[side], weights[examples[side]], minlength=len(levels))
            for side in sides
        )
        pairs = above.sum() * below.sum()
        wins = above * (below.cumsum() - below / 2)
        return float(wins.sum() / pairs) if pairs else float("nan")

    draws = _weights(np.random.default_rng(seed), resamples, len(names))
    areas = np.array([area(weights) for weights in draws])
    centre = area(np.ones(len(names)))
    return _interval(centre, areas[~np.isnan(areas)], confidence, [np.zeros((1, len(names)))])


def _count_seeds(values: Sequence[Grid]) -> int:
    if not values:
        raise ValueError("a mean over data sets needs at least one")
    for number, grid in enumerate(values):
        if grid.ndim != 2 or not grid.size:
            raise ValueError(f"data set {number}: shape {grid.shape}, not (seeds, prompts)")
        if np.isnan(grid).any():
            raise ValueError(f"data set {number}: {int(np.isnan(grid).sum())} scores are NaN")
    seeds = {grid.shape[0] for grid in values}
    if len(seeds) > 1:
        raise ValueError(f"data sets with different numbers of seeds: {sorted(seeds)}")
    return seeds.pop()


def _weights(rng: np.random.Generator, resamples: int, count: int) -> Grid:
    """Return the share of draws of each of `count` members, (resamples, count)."""
    drawn = rng.integers(count, size=(resamples, count))
    flat = drawn + np.arange(resamples)[:, None] * count
    counts = np.bincount(flat.ravel(), minlength=resamples * count)
    return counts.reshape(resamples, count) / count


def _weighted(seed_weights: Grid, grid: Grid, prompt_weights: Grid) -> Grid:
    # No matrix product: BLAS may sum in another order on another machine.
    rows = sum(seed_weights[:, [k]] * grid[k] for k in range(len(grid)))
    return np.einsum("rp,rp->r", rows, prompt_weights, optimize=False)


def _interval(centre: float, draws: Grid, confidence: float, values: Sequence[Grid]) -> Interval:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    prompts = sum(grid.shape[1] for grid in values)
    return Interval(centre, float(low), float(high), prompts, values[0].shape[0])
