"""A copy of the repository with the parameters of a nano world, and its commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DVC = [sys.executable, "-m", "dvc"]


def copy_repository(folder: Path) -> None:
    """Copy code and settings, the parameters being those of the nano world, and begin with DVC."""
    (folder / "tmp").mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "reproduce", folder / "reproduce", ignore=ignored)
    for name in ("dvc.yaml", "experiments.yaml", "requirements.lock", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "paper").mkdir()
    shutil.copy(ROOT / "paper" / "claims.yaml", folder / "paper")
    shutil.copy(ROOT / "tests" / "nano" / "params.yaml", folder / "params.yaml")
    dvc(folder, "init", "--no-scm")


def environment(folder: Path) -> dict[str, str]:
    """Return the variables with which the code of `folder` runs."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    known = {name: value for name, value in os.environ.items() if name != "REPRODUCE_COLD"}
    return {**known, "PATH": paths, "PYTHONPATH": str(folder), "TMPDIR": str(folder / "tmp")}


def dvc(folder: Path, *arguments: str, below: str = ".") -> str:
    """Return what a command of DVC in `folder`, or `below` it, prints; it must succeed."""
    done = subprocess.run(
        [*DVC, *arguments], cwd=folder / below, env=environment(folder), text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def reproduce(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the package in `folder`, whether it succeeds or not."""
    command = [sys.executable, "-m", "reproduce", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), text=True, capture_output=True
    )
