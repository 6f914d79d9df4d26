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
"""Scores of one data set: a row a seed, a column a prompt."""
Scored = tuple[str, float]
"""The name of an example, and the score of a response to it."""
Places = tuple[NDArray[np.int64], NDArray[np.int64]]


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

    Raises ValueError where there is no score, the seeds differ in number, or a score is NaN.
    """
    seeds = _checked(values)
    rng = np.random.default_rng(seed)
    seed_weights = _weights(rng, resamples, seeds)
    means = sum(_means(seed_weights, rng, grid) for grid in values) / len(values)
    centre = sum(float(grid.mean()) for grid in values) / len(values)
    return _interval(centre, np.asarray(means), confidence, values)


def bootstrap_ratio(
    hits: Sequence[Grid], cases: Sequence[Grid], resamples: int, confidence: float, seed: int
) -> Interval:
    """Return sum(hits) / sum(cases) over all data sets together, with its interval.

    Both are grids of counts. Resamples without a case say nothing of the ratio and are left
    out. Raises ValueError as `bootstrap` does, and where there is no case at all.
    """
    seeds = _checked([*hits, *cases])
    total = sum(float(grid.sum()) for grid in cases)
    if not total:
        raise ValueError("a ratio over no case")
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

    It is the chance that a right response scores above a wrong one, a tie counting half. Each
    score comes with the name of its example; examples are resampled, with all their responses.
    Resamples without a right or a wrong response are left out. Raises ValueError without both.
    """
    if not right or not wrong:
        raise ValueError(f"{len(right)} right and {len(wrong)} wrong scores")
    names = sorted({name for name, _ in (*right, *wrong)})
    steps = sorted({score for _, score in (*right, *wrong)})
    sides = [_places(side, names, steps) for side in (right, wrong)]
    draws = _weights(np.random.default_rng(seed), resamples, len(names))
    # The first is the sample itself: every example once.
    areas = np.array([_area(sides, row, len(steps)) for row in (np.ones(len(names)), *draws)])
    drawn = areas[1:]
    return _interval(
        float(areas[0]), drawn[~np.isnan(drawn)], confidence, [np.zeros((1, len(names)))]
    )


def _places(side: Sequence[Scored], names: Sequence[str], steps: Sequence[float]) -> Places:
    """Return, of each score, the number of its example and its rank among the distinct scores."""
    of_name = {name: number for number, name in enumerate(names)}
    of_score = {score: number for number, score in enumerate(steps)}
    examples = np.array([of_name[name] for name, _ in side])
    return examples, np.array([of_score[score] for _, score in side])


def _area(sides: Sequence[Places], weights: Grid, steps: int) -> float:
    above, below = (
        np.bincount(ranks, weights[examples], minlength=steps) for examples, ranks in sides
    )
    pairs = above.sum() * below.sum()
    wins = above * (below.cumsum() - below / 2)
    return float(wins.sum() / pairs) if pairs else float("nan")


def _checked(values: Sequence[Grid]) -> int:
    if not values:
        raise ValueError("no data set to take a mean over")
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
    """Return multinomial weights, a row a resample: how often each of `count` was drawn."""
    drawn = rng.integers(count, size=(resamples, count))
    flat = drawn + np.arange(resamples)[:, None] * count
    counts = np.bincount(flat.ravel(), minlength=resamples * count)
    return counts.reshape(resamples, count) / count


def _means(seed_weights: Grid, rng: np.random.Generator, grid: Grid) -> Grid:
    return _weighted(seed_weights, grid, _weights(rng, len(seed_weights), grid.shape[1]))


def _weighted(seed_weights: Grid, grid: Grid, prompt_weights: Grid) -> Grid:
    # Not a matrix product: BLAS may sum in another order on another machine.
    rows = sum(seed_weights[:, [k]] * grid[k] for k in range(len(grid)))
    return np.einsum("rp,rp->r", rows, prompt_weights, optimize=False)


def _interval(centre: float, draws: Grid, confidence: float, values: Sequence[Grid]) -> Interval:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    prompts = sum(grid.shape[1] for grid in values)
    return Interval(centre, float(low), float(high), prompts, values[0].shape[0])
