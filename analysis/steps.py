"""Seconds, tokens per second, memory and use of the device of every stage, from a profile's logs.

Needs the artifacts and the logs of a profile (`dvc repro` makes them); writes a CSV.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from aligned import as_text
from reproduce.config import (
    Arm,
    ConfigError,
    Params,
    Training,
    by_key,
    load_experiments,
    load_params,
    training_of,
)
from reproduce.models.load import checkpoint, load_tokenizer
from reproduce.models.tokenization import encode_example, encode_text
from reproduce.planning.plan.assumptions import GPUS
from reproduce.schema import Example, read_examples
from reproduce.training.speed import LOG, model_flops_utilisation
from reproduce.utils.files import UnusableFile, read_rows, write_csv
from reproduce.utils.stage_log import logged
from reproduce.utils.stages import finished, stages

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
Profile = Annotated[Path, typer.Option(help="folder of the profile: params.yaml and artifacts/")]
Output = Annotated[Path, typer.Option(help="CSV to write")]


def steps(
    profile: Profile = HERE.parent,
    output: Output = HERE / "benchmark-steps.csv",
    gpu: Annotated[str, typer.Option(help="A100-80G, H100-80G, ...: to say the MFU")] = "",
    tflops: Annotated[
        float | None, typer.Option(help="peak of dense bf16 of another, 10^12 a second")
    ] = None,
) -> None:
    """Print what every stage took, and how fast its training runs were, of the last run."""
    params = load_params(profile / "params.yaml")
    experiments = load_experiments(profile / "experiments.yaml")
    log = profile / "logs" / "timings.jsonl"
    if not log.is_file():
        raise UnusableFile(f"{log}: missing; run `dvc repro`")
    entries = logged(log)
    latest = {row["stage"]: row for row in entries}
    order = stages(experiments)
    count = Counter(profile / "artifacts", params)
    arms = by_key(experiments)
    runs = _runs(profile / "logs" / LOG.name)
    peak = _peak(gpu, tflops)
    rows = [
        {**_step(latest[name], count.of(name, arms)), **_trained(runs.get(name, []), peak)}
        for name in order if name in latest
    ]  # fmt: skip
    if not rows:
        raise UnusableFile(f"{log}: no stage of this study; run `dvc repro`")
    rows.append(_total(rows))
    write_csv(output, rows)
    print(as_text(rows))
    if missing := [name for name in order if name not in latest]:
        print(f"\nNot in the log: {', '.join(missing)}")
    print(f"\n{_overhead(entries)}\nSeconds include evaluation, loading and saving.")


class Counter:
    """Counts real tokens that stages trained on; equal examples are encoded once."""

    def __init__(self, artifacts: Path, params: Params) -> None:
        """Count below `artifacts`, with the base model's tokenizer."""
        self.artifacts, self.params = artifacts, params
        self.lengths: dict[tuple[str, str], int] = {}
        self.tokenizer: Any = None

    def of(self, stage: str, arms: Mapping[str, Arm]) -> int | None:
        """Return epochs times tokens, over all seeds; None if the stage did not train."""
        if stage == "base":
            return self._base()
        files = sorted((self.artifacts / stage).glob("seed-*/train.jsonl"))
        if stage not in arms or not files:
            return None
        settings = training_of(self.params, arms[stage])
        seen = sum(self._length(e, settings) for path in files for e in read_examples(path))
        return round(settings.epochs * seen)

    def _base(self) -> int | None:
        settings, source = self.params.base.training, self.artifacts / "pretraining" / "texts.jsonl"
        if settings is None or not source.is_file():
            return None
        length = settings.max_length
        rows = (encode_text(self._words(), row["text"], length) for row in read_rows(source))
        runs = len(self.params.seeds)
        return round(runs * settings.epochs * int(sum(row["length"] for row in rows)))

    def _length(self, example: Example, settings: Training) -> int:
        key = (example.id, example.response)
        if key not in self.lengths:
            row = encode_example(self._words(), example, settings.max_length)
            self.lengths[key] = row["length"] if row else 0
        return self.lengths[key]

    def _words(self) -> Any:
        if self.tokenizer is None:
            base = checkpoint(self.artifacts / "base", self.params.seeds[0])
            self.tokenizer = load_tokenizer(base)
        return self.tokenizer


def _step(entry: Row, tokens: int | None) -> Row:
    seconds = entry["seconds"]
    speed = round(tokens / seconds) if tokens and seconds else ""
    return {
        "stage": entry["stage"],
        "seconds": seconds,
        "trained_tokens": "" if tokens is None else tokens,
        "tokens_per_second": speed,
    }


def _total(rows: Sequence[Row]) -> Row:
    trained = [row for row in rows if row["trained_tokens"]]
    tokens = sum(row["trained_tokens"] for row in trained)
    seconds = sum(row["seconds"] for row in trained)
    return {
        "stage": "total",
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "trained_tokens": tokens,
        "tokens_per_second": round(tokens / seconds) if seconds else "",
        **_trained([], None),
    }


def _runs(log: Path) -> dict[str, list[Row]]:
    """Return stage -> the latest of each of its training runs."""
    latest = {row["run"]: row for row in logged(log)}
    found: dict[str, list[Row]] = {}
    for row in latest.values():
        found.setdefault(row["stage"], []).append(row)
    return found


def _peak(gpu: str, tflops: float | None) -> float | None:
    if not gpu and tflops is None:
        return None
    known = GPUS.get(gpu)
    if tflops is None and known is None:
        raise ConfigError(f"--gpu {gpu}: give its --tflops, or one of {', '.join(GPUS)}")
    return (tflops if tflops is not None else known.tflops) * 1e12


def _trained(runs: Sequence[Row], peak: float | None) -> Row:
    """Return how fast the training runs of a stage were, each by itself, without anything else."""
    speeds = [run["tokens"] / run["seconds"] for run in runs]
    memory = [run["device_memory_mb"] for run in runs if "device_memory_mb" in run]
    return {
        "runs": len(runs) or "",
        "run_tokens_per_second": round(fmean(speeds)) if speeds else "",
        "mfu": round(model_flops_utilisation(runs, peak), 4) if runs and peak else "",
        "device_memory_mb": max(memory, default=""),
        "device": ", ".join(sorted({run["device"] for run in runs})),
    }


def _overhead(entries: Sequence[Row]) -> str:
    """Return the words on the time that the last run spent between its stages."""
    end = max(row["at"] for row in entries)
    inside = finished(entries, end, None)
    last = {row["stage"]: row for row in entries}
    began = min(last[name]["at"] - seconds for name, seconds in inside.items())
    whole, spent = end - began, sum(inside.values())
    return (
        f"Last run without a pause: {len(inside)} stages in {whole:.0f} s, {spent:.0f} s inside "
        f"the stages; {max(0.0, 1 - spent / whole):.1%} between them (DVC, process starts)."
    )


if __name__ == "__main__":
    try:
        typer.run(steps)
    except (ConfigError, UnusableFile) as error:
        sys.exit(f"steps: {error}")
