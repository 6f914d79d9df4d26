"""How far the seeds of an arm lie apart."""

from typing import Any

import numpy as np

from reproduce.evaluation.results import OBJECTIVES, Measure, Results
from reproduce.evaluation.tables.render import Table


def seeds(results: Results) -> Table:
    """Return the objectives of every arm, seed by seed."""
    headers = {"label": "Arm"} | {
        f"{measure.name}:{seed}": f"{measure.title}, seed {seed}"
        for measure in OBJECTIVES for seed in results.seeds
    }  # fmt: skip
    rows = []
    for key, label in results.labels.items():
        experiment, arm = key.split("/")
        row: dict[str, Any] = {"experiment": experiment, "arm": arm, "label": label}
        for measure in OBJECTIVES:
            means = _means(results, key, measure)
            names = [f"{measure.name}:{seed}" for seed in results.seeds]
            row |= dict(zip(names, means, strict=True))
        rows.append(row)
    caption = (
        "Every seed alone: means over data sets of the objectives, of the prompts that have a "
        "score for every seed. A seed has training examples, an order of them and, where it is not "
        "imported, a base model of its own."
    )
    return Table("seeds", caption, headers, rows)


def _means(results: Results, key: str, measure: Measure) -> list[float | None]:
    """Return, a seed, the mean of a measure over its data sets; None where there is no score."""
    grids = [results.grid(key, name, measure.column) for name in results.datasets(measure)]
    kept = [grid[:, ~np.isnan(grid).any(axis=0)] for grid in grids]
    if not kept or any(grid.size == 0 for grid in kept):
        return [None] * len(results.seeds)
    return [float(mean) for mean in np.mean([grid.mean(axis=1) for grid in kept], axis=0)]
