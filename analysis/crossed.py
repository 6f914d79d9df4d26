"""Whether a seed stands apart by its base model, or by its examples and their order.

Tunes and evaluates arms with every base model on the examples of every seed: where the base model
is the cause, the arms of one base model are alike. Needs the artifacts of a profile; writes a CSV.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from aligned import as_called, as_text
from reproduce.arms import run_arm
from reproduce.config import Arm, ConfigError, Params, by_key, load_experiments, load_params
from reproduce.evaluation.results import read_trials
from reproduce.judges.validation import sound_sets
from reproduce.records import Point, score_points
from reproduce.schema import read_sets
from reproduce.utils.files import UnusableFile, checked, read_rows, sealed_folder, write_csv
from reproduce.utils.hardware import keep_to_one_gpu, resolved

HERE = Path(__file__).resolve().parent
READ = ("training", "evaluation", "entailment", "validation")
"""The artifacts that an arm and its scores need, beside the base models."""

Row = dict[str, Any]


def crossed(
    arms: Annotated[list[str], typer.Argument(help="experiment/arm, each starting from base")],
    profile: Annotated[Path, typer.Option(help="folder of params.yaml and artifacts/")] = (
        HERE.parent
    ),
    output: Annotated[Path, typer.Option(help="CSV to write")] = HERE / "crossed.csv",
) -> None:
    """Print the scores of arms for every base model and the examples of every seed."""
    params = resolved(load_params(profile / "params.yaml"))
    keep_to_one_gpu(params)
    known = by_key(load_experiments(profile / "experiments.yaml"))
    for name in arms:
        if name not in known or known[name].start != "base" or known[name].reads != "training":
            raise ConfigError(f"'{name}' is no arm that starts from base and trains on a mixture")
    if params.base.tiny is None or len(params.seeds) < 2:
        raise ConfigError("the profile has one base model, so there is nothing to cross")
    found = [
        row
        for name in arms
        for shift in range(len(params.seeds))
        for row in _shifted(params, name, known[name], profile / "artifacts", shift)
    ]
    rows = sorted(found, key=lambda r: (arms.index(r["arm"]), r["base_model"], r["examples"]))
    write_csv(output, [{**row, "command": as_called()} for row in rows])
    print(as_text(rows))


def _shifted(params: Params, name: str, arm: Arm, artifacts: Path, shift: int) -> Iterator[Row]:
    """Yield the scores of each seed, whose base model is that of the seed `shift` places on."""
    seeds = params.seeds
    models = {seed: seeds[(n + shift) % len(seeds)] for n, seed in enumerate(seeds)}
    with tempfile.TemporaryDirectory() as work:
        here = Path(work)
        for needed in READ:
            (here / needed).symlink_to(checked(artifacts / needed).resolve())
        with sealed_folder(here / "base") as folder:
            for seed, model in models.items():
                shutil.copytree(checked(artifacts / "base") / f"seed-{model}",
                                folder / f"seed-{seed}")  # fmt: skip
        run_arm(params, name, arm.model_copy(update={"trajectory": 0}), here)
        examples = {e.id: e for s in read_sets(here / "evaluation").values() for e in s}
        sound = sound_sets(read_trials(here), params)
        for seed, model in models.items():
            answers = read_rows(here / name / f"seed-{seed}" / "evaluation.jsonl")
            scores = _means(score_points(answers, examples, sound, 0))
            yield {"arm": name, "base_model": model, "examples": seed, **scores}


def _means(points: Iterable[Point]) -> Row:
    """Return the means of the objectives of an arm's seed, as the tables and MLflow have them."""
    return {
        what.removesuffix("/mean"): round(score, 3)
        for what, score, _ in points if what.endswith("/mean")
    }  # fmt: skip


if __name__ == "__main__":
    try:
        typer.run(crossed)
    except (ConfigError, UnusableFile) as error:
        sys.exit(f"crossed: {error}")
