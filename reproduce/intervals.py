"""Intervals for scores of several training seeds on the same prompts, and for shares and AUCs.

Scores vary by seed and by prompt. With the few seeds of such a study a percentile bootstrap covers
too little where seeds differ (76 % in place of 95 % with three), so the half-width has two parts,
added in quadrature: t for the variance of the seeds' means, and the normal for what is common to
all seeds of a prompt's score. tests/test_intervals.py simulates the coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]
"""Scores of one data set: a row per seed, a column per prompt."""
Scored = tuple[str, float]
"""The id of an example, and the score of a response to it."""


@dataclass(frozen=True)
class Interval:
    """A mean with its interval, and the numbers of prompts and seeds behind it.

    `p` is the two-sided p-value of a mean of 0.
    """

    mean: float
    low: float
    high: float
    prompts: int
    seeds: int
    p: float = float("nan")


def mean_interval(values: Sequence[Grid], confidence: float) -> Interval:
    """Return the mean over data sets of their mean scores, with its interval.

    For a paired difference pass x - y. The prompts' part is estimated by the variance components
    of each data set: the variance of prompt means, less what single responses add to it. With one
    seed it is all there is, and the interval says nothing on other seeds.

    Raises ValueError if there is no score, the seeds differ in number, or a score is NaN.
    """
    seeds = _count_seeds(values)
    seed_means = np.mean([grid.mean(axis=1) for grid in values], axis=0)
    seed_part = float(seed_means.var(ddof=1)) / seeds if seeds > 1 else 0.0
    prompt_part = 0.0
    for grid in values:
        prompts = grid.shape[1]
        centred = grid - grid.mean(axis=1, keepdims=True)
        common = centred.mean(axis=0)
        variance = float((common**2).sum()) / max(1, prompts - 1)
        if seeds > 1:
            rest = float(((centred - common) ** 2).sum()) / max(1, (seeds - 1) * (prompts - 1))
            variance = max(0.0, variance - rest / seeds)
        prompt_part += variance / prompts / len(values) ** 2
    centre = float(seed_means.mean())

    def half_width(level: float) -> float:
        tail = (1 + level) / 2
        normal, t = NormalDist().inv_cdf(tail), 0.0
        if seeds > 1:
            from scipy.special import stdtrit  # As scipy.stats.t.ppf, but in microseconds.

            t = float(stdtrit(seeds - 1, tail))
        return float(np.sqrt(t**2 * seed_part + normal**2 * prompt_part))

    reach = half_width(confidence)
    total = sum(grid.shape[1] for grid in values)
    interval = Interval(centre, centre - reach, centre + reach, total, seeds)
    low, high = 0.0, 1.0  # The level at which the interval just reaches 0, by bisection.
    for _ in range(24):
        level = (low + high) / 2
        low, high = (level, high) if half_width(level) < abs(centre) else (low, level)
    return replace(interval, p=1 - low)


def share_interval(hits: Sequence[Grid], cases: Sequence[Grid], confidence: float) -> Interval:
    """Return sum(hits) / sum(cases) over all data sets together, with its interval.

    Both are grids of counts. The interval is that of the linearised ratio. Of a share of 0 or 1 it
    is Wilson's (1927) for the number of prompts with a case. Raises ValueError as `mean_interval`
    does, and if there is no case at all.
    """
    hit, case = np.concatenate(hits, axis=1), np.concatenate(cases, axis=1)
    if not case.sum():
        raise ValueError("a share needs at least one case")
    share = float(hit.sum() / case.sum())
    interval = mean_interval([(hit - share * case) / case.mean()], confidence)
    if share in (0.0, 1.0):
        low, high = _wilson(share, int((case.sum(axis=0) > 0).sum()), confidence)
    else:
        low, high = max(0.0, share + interval.low), min(1.0, share + interval.high)
    return Interval(share, low, high, interval.prompts, interval.seeds)


def auc_interval(right: Sequence[Scored], wrong: Sequence[Scored], confidence: float) -> Interval:
    """Return the area under the ROC curve of right against wrong responses, with its interval.

    It is the chance that a right response scores above a wrong one, where a tie counts half. Its
    variance is that of DeLong et al. (1988) with all responses to an example as one cluster
    (Obuchowski, 1997). Of an area of 0 or 1 the interval is Wilson's for the number of examples.
    Raises ValueError without both.
    """
    if not right or not wrong:
        raise ValueError(f"{len(right)} right and {len(wrong)} wrong scores: both are needed")
    above, below = (np.array([score for _, score in group]) for group in (right, wrong))
    order = np.sort(below)
    wins_right = (np.searchsorted(order, above) + np.searchsorted(order, above, "right")) / 2
    order = np.sort(above)
    losses = (np.searchsorted(order, below) + np.searchsorted(order, below, "right")) / 2
    area = float(wins_right.mean() / len(below))
    influence = np.concatenate([
        (wins_right / len(below) - area) / len(above),
        (1 - losses / len(above) - area) / len(below),
    ])  # fmt: skip
    names, examples = np.unique([name for name, _ in (*right, *wrong)], return_inverse=True)
    clusters = np.bincount(examples, influence)
    count = len(names)
    if area in (0.0, 1.0):
        low, high = _wilson(area, count, confidence)
        return Interval(area, low, high, count, 1)
    error = float(np.sqrt((clusters**2).sum() * count / max(1, count - 1)))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Interval(area, max(0.0, area - reach), min(1.0, area + reach), count, 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, 1979), in their order."""
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = highest
    return adjusted


def _wilson(share: float, count: int, confidence: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    reach = z**2 / (count + z**2)
    return (0.0, reach) if share == 0 else (1 - reach, 1.0)


def _count_seeds(values: Sequence[Grid]) -> int:
    shapes = [grid.shape for grid in values]
    seeds = {shape[0] for shape in shapes}
    if len(seeds) != 1 or not all(grid.size and not np.isnan(grid).any() for grid in values):
        raise ValueError(f"grids of {shapes}: not the same seeds, no score, or a NaN among them")
    return seeds.pop()
