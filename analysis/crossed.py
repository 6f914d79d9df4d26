"""Whether the seeds differ by their base model, or by their examples and the order of these.

`python analysis/crossed.py CD MTL` trains and evaluates the arms with every base model on the
examples of every seed. If the base model is the cause, models with the same base are alike. Needs
the artifacts of a profile (`dvc repro`) and writes analysis/crossed.csv.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reproduce.arms import run_arm
from reproduce.config import PRETRAINED, ConfigError
from reproduce.evaluation.results import OBJECTIVES, load_results
from reproduce.study import Study, load_study
from reproduce.utils.files import UnusableFile, write_csv
from reproduce.utils.hardware import resolve_precision, use_one_gpu

ROOT = Path(__file__).resolve().parent.parent


def main(words: Sequence[str]) -> None:
    """Write the scores of arms for every base model and the examples of every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arms", nargs="+", help="each starts from the base model")
    parser.add_argument("--profile", type=Path, default=ROOT, help="has params.yaml and artifacts/")
    parser.add_argument("--output", type=Path, default=ROOT / "analysis" / "crossed.csv")
    options = parser.parse_args(words)
    study = load_study(options.profile)
    use_one_gpu(study.params)
    study = replace(study, params=resolve_precision(study.params))
    for name in options.arms:
        arm = study.arms.get(name)
        if not (arm and arm.trains and arm.start == PRETRAINED):
            raise ConfigError(f"{name}: no arm that is trained from the base model")
    if study.params.base.tiny is None or len(study.params.seeds) < 2:
        raise ConfigError(f"{options.profile}: crossing needs a base model per seed, two at least")
    rows = [
        row
        for name in options.arms
        for shift in range(len(study.params.seeds))
        for row in scores_of_shifted(study, name, shift)
    ]
    rows.sort(key=lambda row: (options.arms.index(row["arm"]), row["base_model"], row["examples"]))
    write_csv(options.output, rows)
    print(pd.DataFrame(rows).to_string(index=False))


def scores_of_shifted(study: Study, name: str, shift: int) -> list[dict[str, Any]]:
    """Return the scores of an arm where each seed starts from the base model of another seed.

    That seed is `shift` positions further on in the list of seeds.
    """
    seeds = study.params.seeds
    base_models = {seed: seeds[(n + shift) % len(seeds)] for n, seed in enumerate(seeds)}
    with tempfile.TemporaryDirectory() as folder:
        arm = study.arms[name].model_copy(update={"num_intermediate_evals": 0})
        shifted = replace(study, folder=Path(folder), arms={name: arm})
        for seed, base_model in base_models.items():
            link = shifted.model_dir(PRETRAINED, seed)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(study.model_dir(PRETRAINED, base_model).resolve())
        for needed in ("data", "judges"):
            (shifted.artifacts / needed).symlink_to((study.artifacts / needed).resolve())
        run_arm(shifted, name)
        results = load_results(shifted, [name])
    rows = []
    for position, seed in enumerate(results.seeds):
        row: dict[str, Any] = {"arm": name, "base_model": base_models[seed], "examples": seed}
        for metric in OBJECTIVES:
            grids = [results.grid(name, data, metric.name) for data in results.datasets(metric)]
            means = [np.nanmean(grid[position]) for grid in grids]
            row[metric.name] = round(float(np.mean(means)), 3)
        rows.append(row)
    return rows


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ConfigError, UnusableFile) as error:
        sys.exit(f"crossed: {error}")
