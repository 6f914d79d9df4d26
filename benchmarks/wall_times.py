"""Time whole commands: `python benchmarks/wall_times.py [WORD]...`, those with such a word."""

import os
import subprocess
import sys
import tempfile
import time

from bench import RESULTS, ROOT, provenance

from reproduce.utils.files import read_csv, write_csv

COMMANDS = {
    # what: the command, in the root of the repository; {scratch} is an empty folder
    "set-up in a fresh clone": "git clone -q . {scratch}/new; cd {scratch}/new; make .venv/ready",
    "the tests": "make test",
    "all tests": "make test-all",
    "the whole study, without any cache": "make twice",
    "`dvc repro` with nothing to do": "dvc repro",
    "check the settings": "reproduce check",
    "compare with the published results": "reproduce verify",
    "MLflow's database": "reproduce tracking",
    "a notebook": "papermill --cwd analysis analysis/experiment.ipynb {scratch}/out.ipynb",
}
OUTPUT = RESULTS / "wall-times.csv"


def main(words: list[str]) -> None:
    """Time the commands once each, and replace their rows; a command that fails ends the run."""
    rows = {row["what"]: row for row in read_csv(OUTPUT)}
    for what, command in COMMANDS.items():
        if words and not any(word in f"{what} {command}" for word in words):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            start = time.perf_counter()
            process = subprocess.Popen(["sh", "-ec", command.format(scratch=scratch)], cwd=ROOT)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        if status:
            sys.exit(f"{command}: failed")
        megabytes = f"{usage.ru_maxrss * 1024 / 1e6:.0f}"  # of the largest process
        measured = {
            "what": what,
            "repeats": "1",
            "seconds": f"{seconds:.1f}",
            "memory_mb": megabytes,
        }
        rows[what] = {**measured, **provenance(command)}
        print(f"{what}: {seconds:.1f} s", flush=True)
        write_csv(OUTPUT, list(rows.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
