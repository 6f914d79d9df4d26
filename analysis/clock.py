"""How long the commands of the README take, each as a whole process.

`python analysis/clock.py` in a clone where the study is finished; nothing else should run. Rows of
commands that are not timed again are kept. `python analysis/measured.py` puts them into the README.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from reproduce.utils.files import read_csv, write_csv
from reproduce.utils.stage_log import logged

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "wall-times.csv"
LOG = HERE.parent / "logs" / "timings.jsonl"

COMMANDS = {
    # what: the command; {scratch} is an empty folder
    "set-up in a fresh clone": "git clone --quiet . {scratch}/new; "
    "cd {scratch}/new; make .venv/ready",
    "the tests": "make test",
    "the whole study again, without any cache": "make twice",
    "`dvc repro` with nothing to do": "dvc repro",
    "what is wrong with the settings": "reproduce check",
    "the report, page and PDF": "reproduce paper",
    "are the results those to expect?": "reproduce verify",
    "MLflow in a fresh clone": "git clone --quiet . {scratch}/new; cd {scratch}/new; "
    "reproduce tracking",
    "MLflow when all runs are there": "reproduce tracking",
    "all notebooks": "jupyter nbconvert --to notebook --execute --output-dir {scratch} "
    "analysis/*.ipynb",
}
LONG = ("set-up in a fresh clone", "the tests", "the whole study again, without any cache")
"""What is timed only when it is named, and once."""


def main(
    only: Annotated[list[str] | None, typer.Argument(help="words of `what` or `command`")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    output: Annotated[Path, typer.Option()] = OUTPUT,
) -> None:
    """Time commands; keep the median of their seconds, and the memory of their largest process."""
    os.chdir(HERE.parent)
    chosen = {
        what: command for what, command in COMMANDS.items()
        if (any(word in f"{what} {command}" for word in only) if only else what not in LONG)
    }  # fmt: skip
    if not chosen:
        raise typer.BadParameter(f"none is called so; there are: {'; '.join(COMMANDS)}")
    kept = {row["what"]: row for row in (read_csv(output) if output.is_file() else [])}
    for what, command in chosen.items():
        times = 1 if what in LONG else repeats
        found = [_timed(command) for _ in range(times)]
        kept[what] = {
            "what": what, "command": command, "repeats": str(times),
            "seconds": f"{statistics.median(seconds for seconds, _ in found):.1f}",
            "memory_mb": f"{max(memory for _, memory in found):.0f}",
        }  # fmt: skip
        print(f"{what}: {kept[what]['seconds']} s", flush=True)
        write_csv(output, [kept[name] for name in COMMANDS if name in kept])


def _timed(command: str) -> tuple[float, float]:
    """Return the seconds of a command and the megabytes (10^6 bytes) of its largest process.

    Ends the program where the command fails: it would have been quick for no good reason.
    """
    scratch = tempfile.mkdtemp()
    words = ["sh", "-ec", command.format(scratch=scratch)]
    with (Path(scratch) / "said.txt").open("wb") as said:
        began, at = time.perf_counter(), time.time()
        child = os.posix_spawnp(words[0], words, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, said.fileno(), 1), (os.POSIX_SPAWN_DUP2, said.fileno(), 2),
        ])  # fmt: skip
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - began
    if status:
        sys.exit(f"{command} failed; what it said is in {scratch}/said.txt")
    shutil.rmtree(scratch)
    # Stages are forked from a process that is nobody's child; they log their own memory.
    staged = [float(row["memory_mb"]) for row in logged(LOG) if row["at"] >= at]
    return seconds, max([usage.ru_maxrss * 1024 / 1e6, *staged])


if __name__ == "__main__":
    typer.run(main)
