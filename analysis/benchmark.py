"""How fast fine-tuning is against TRL's SFTTrainer: all seeds of one arm, several ways in turn.

Needs the artifacts of a profile (`dvc repro` makes them) and writes a CSV beside this file.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aligned import as_called, as_text
from reproduce.config import Arm, ConfigError
from reproduce.utils.files import UnusableFile, checked, read_json, write_csv, write_json
from ways import METHODS, arm_that_trains, measure

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
Profile = Annotated[Path, typer.Option(help="folder of the profile: params.yaml and artifacts/")]
Output = Annotated[
    Path | None, typer.Option(help="CSV to write; else the profile's own, beside this file")
]

THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
"""Environment variables taken from the measured processes, so that they run with defaults."""

DIFFERENCES = """\
Same in all: base model, examples, epochs, batch size, learning rate, schedule, warm-up, AdamW,
clipping, precision, loss on the response only, real tokens (counted by attention mask at each
forward pass). Timed: encoding, trainer set-up and training of all seeds; not timed, own column:
imports, loading models. Different: order of rows (so the padding), one process a seed or seeds in
turn, threads, gradient checkpointing, how the loss is computed (ours and TRL build no logits of the
prompt, TRL measures token accuracy besides, plain builds all), deterministic kernels (ours and
plain)."""


class Unfair(Exception):
    """Measurements that did not train on the same tokens."""


@app.command()
def training(
    arm: Annotated[str, typer.Option(help="experiment/arm")] = "methods/MTL",
    examples: Annotated[
        int | None, typer.Option(min=1, help="examples a seed; all if left out")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    methods: Annotated[str, typer.Option(help="comma-separated")] = ",".join(METHODS),
    profile: Profile = HERE.parent,
    output: Output = None,
) -> None:
    """Time the fine-tuning of all seeds of an arm, ours and others in turn."""
    wanted = methods.split(",")
    if unknown := set(wanted) - set(METHODS):
        raise ConfigError(f"no method is called {sorted(unknown)}; there are: {list(METHODS)}")
    _refuse_missing(profile, arm_that_trains(profile, arm))
    found = []
    for number in range(repeats):
        for method in wanted:
            found.append(_in_fresh_process(method, profile, arm, examples))
            speed = found[-1]["tokens"] / found[-1]["seconds"]
            print(f"{number + 1}/{repeats} {method}: {speed:.0f} tokens/s", flush=True)
    rows = summarised(found)
    write_csv(output or _kept(profile), [{**row, "command": as_called()} for row in rows])
    print(f"\n{arm}, {repeats} repeats, {_machine()}\n\n{as_text(rows)}\n")
    print(*(f"{name}: {METHODS[name]}" for name in wanted), DIFFERENCES, sep="\n")


def summarised(found: Sequence[Row]) -> list[Row]:
    """Return a row a method with medians over its repeats and how many times as fast the first is.

    Raises Unfair where the methods did not train on the same number of real tokens.
    """
    if len({row["tokens"] for row in found}) != 1:
        counts = {row["method"]: row["tokens"] for row in found}
        raise Unfair(f"real tokens trained on differ: {counts}")
    methods = list(dict.fromkeys(row["method"] for row in found))
    rows = [_summary([row for row in found if row["method"] == name]) for name in methods]
    first = rows[0]["tokens_per_second"]
    return [{**row, "first_is_times": round(first / row["tokens_per_second"], 3)} for row in rows]


def _summary(found: Sequence[Row]) -> Row:
    def median(name: str) -> float:
        return float(statistics.median(row[name] for row in found))

    speeds = [row["tokens"] / row["seconds"] for row in found]
    return {
        "method": found[0]["method"],
        "repeats": len(found),
        "tokens": found[0]["tokens"],
        "seconds": round(median("seconds"), 2),
        "tokens_per_second": round(statistics.median(speeds)),
        "slowest": round(min(speeds)),
        "fastest": round(max(speeds)),
        "padding_share": round(median("padding"), 3),
        "last_loss": round(median("last_loss"), 4),
        "import_seconds": round(median("imports"), 2),
        "loading_seconds": round(median("loading"), 2),
        "processes": found[0]["processes"],
        "threads_each": found[0]["threads"],
    }


def _in_fresh_process(method: str, profile: Path, arm: str, limit: int | None) -> Row:
    environment = {k: v for k, v in os.environ.items() if k not in THREAD_LIMITS}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "found.json"
        command = [sys.executable, __file__, "one", method, arm, str(limit or 0), str(target)]
        done = subprocess.run(
            [*command, "--profile", str(profile)], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise UnusableFile(f"{method} failed:\n{done.stderr[-3000:]}")
        return dict(read_json(target))


@app.command(hidden=True)
def one(method: str, arm: str, limit: int, target: Path, profile: Profile = HERE.parent) -> None:
    """Measure one method in this process and write what was found to `target`."""
    write_json(target, measure(method, profile, arm, limit or None))


def _kept(profile: Path) -> Path:
    """Return the file that is committed for a profile, so that none writes over another's."""
    of = "" if profile.resolve() == HERE.parent else f"-{profile.resolve().name}"
    return HERE / f"benchmark-training{of}.csv"


def _refuse_missing(profile: Path, arm: Arm) -> None:
    for name in (arm.start, arm.reads):
        checked(profile / "artifacts" / name)


def _machine() -> str:
    import platform

    import psutil  # type: ignore[import-untyped]

    load = os.getloadavg()[0]
    return f"{psutil.cpu_count()} cores, {platform.machine()}, load {load:.2f} at the end"


def main() -> None:
    """Run the command in sys.argv; an expected error is one message."""
    try:
        app(standalone_mode=False)
    except (ConfigError, UnusableFile, Unfair) as error:
        sys.exit(f"benchmark: {error}")


if __name__ == "__main__":
    main()
