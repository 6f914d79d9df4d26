"""Profiles with changed parameters, the nano study, and commands that run in a profile's folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reproduce.config import ConfigError, Params, load_params

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
DVC = [sys.executable, "-m", "dvc"]
GONE = object()
"""In place of a value: the key is removed."""

Patch = tuple[str, Any]


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key, or remove the key."""
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree[parent]
    if value is GONE:
        del tree[last]
    else:
        tree[last] = value


def change(path: Path, *patches: Patch) -> None:
    """Change a YAML file in place."""
    content = yaml.safe_load(path.read_text())
    for key, value in patches:
        put(content, key, value)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def config_error(load: Callable[[], Any]) -> str:
    """Return the message with which `load` rejects a configuration."""
    with pytest.raises(ConfigError) as raised:
        load()
    return str(raised.value)


def default_profile(folder: Path) -> Path:
    """Copy what is checked of the default profile to `folder`; return it."""
    (folder / "paper").mkdir()
    for name in ("params.yaml", "experiments.yaml", "paper/claims.yaml", "paper/predictions.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def nano_params(**changes: Any) -> Params:
    """Return the nano study's parameters with changes by dotted names (`__` for the dot)."""
    content = yaml.safe_load((SUPPORT / "nano_params.yaml").read_text())
    for key, value in changes.items():
        put(content, key.replace("__", "."), value)
    return Params.model_validate(content)


def nano_profile(folder: Path) -> Path:
    """Make `folder` the profile of the nano study: settings only, the code is the repository's."""
    (folder / "paper" / "results").mkdir(parents=True)
    (folder / "paper" / "results" / "README.md").write_text("Published seeds.\n")
    (folder / "inputs").mkdir()
    (folder / "inputs" / "README.md").write_text("Own data and models.\n")
    params = (SUPPORT / "nano_params.yaml").read_text()
    params = params.replace("package: reproduce", f"package: {ROOT / 'reproduce'}")
    params = params.replace("lock: requirements.lock", f"lock: {ROOT / 'requirements.lock'}")
    (folder / "params.yaml").write_text(params)
    shutil.copy(SUPPORT / "nano_experiments.yaml", folder / "experiments.yaml")
    for name in ("claims", "predictions"):
        shutil.copy(SUPPORT / f"nano_{name}.yaml", folder / "paper" / f"{name}.yaml")
    shutil.copy(ROOT / "dvc.yaml", folder)
    load_params(folder / "params.yaml")
    return folder


def environment(code: Path = ROOT) -> dict[str, str]:
    """Return variables with this environment's commands and the package below `code`."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": paths, "PYTHONPATH": str(code)}


def run(
    folder: Path, *command: str, check: bool = True, code: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run a command in `folder` with this environment's Python and the package below `code`."""
    done = subprocess.run(
        command, cwd=folder, env=environment(code), text=True, capture_output=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def dvc(folder: Path, *arguments: str) -> str:
    """Return what a DVC command prints; it must succeed."""
    return run(folder, *DVC, *arguments).stdout


def reproduce(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the package in `folder`, whether it succeeds or not."""
    return run(folder, sys.executable, "-m", "reproduce", *arguments, check=False)
