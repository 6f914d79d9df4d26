"""The environment: direct pins, the full lock and what is installed agree."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.profiles import ROOT


def pins(lines: list[str]) -> dict[str, str]:
    """Return package -> version of lines that must all be "name==version"."""
    versions = {}
    for line in (line.split("#")[0].strip() for line in lines):
        if line:
            match = re.fullmatch(r"([\w.-]+)==([\w.!]+)", line)
            assert match, f"not pinned exactly: {line}"
            versions[str(canonicalize_name(match[1]))] = match[2]
    return versions


LOCK, CUDA = (
    pins((ROOT / name).read_text(encoding="utf-8").splitlines())
    for name in ("requirements.lock", "constraints.txt")
)
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
DIRECT = pins(next(item["pip"] for item in ENVIRONMENT["dependencies"] if isinstance(item, dict)))


def installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def closure(names: set[str]) -> set[str]:
    """Return the packages that installed packages bring along, themselves included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    pending = [(name, frozenset[str]()) for name in names]
    while pending:
        name, extras = entry = pending.pop()
        if entry in seen:
            continue
        seen.add(entry)
        for text in (importlib.metadata.requires(name) or []) if installed(name) else []:
            need = Requirement(text)
            if not need.marker or any(need.marker.evaluate({"extra": e}) for e in extras or {""}):
                pending.append((canonicalize_name(need.name), frozenset(need.extras)))
    return {name for name, _ in seen}


def test_direct_pins_are_those_of_the_lock() -> None:
    assert len(DIRECT) > 30 and {name: LOCK.get(name) for name in DIRECT} == DIRECT


def test_whatever_is_imported_is_pinned_directly() -> None:
    folders = ("reproduce", "analysis", "benchmarks", "tests")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    names: set[str] = set()
    for node in (n for file in files for n in ast.walk(ast.parse(file.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    # vLLM has an environment of its own.
    own = {file.stem for file in files} | {"reproduce", "support", "vllm"}
    packages = importlib.metadata.packages_distributions()
    missing = [
        name
        for name in sorted(names - own - set(sys.stdlib_module_names))
        if not {str(canonicalize_name(package)) for package in packages[name]} & set(DIRECT)
    ]
    assert missing == []


def test_the_lock_holds_everything_that_the_direct_pins_bring_along() -> None:
    assert closure(set(DIRECT)) - set(LOCK) - set(CUDA) == set()
    assert not set(CUDA) & set(LOCK)


def test_what_is_installed_is_what_is_locked() -> None:
    versions = {name: installed(name) for name in LOCK}
    # "+cpu" or "+cu130" names a build of the same version.
    different = {
        name: version
        for name, version in versions.items()
        if version is None or Version(version).public != LOCK[name]
    }
    assert different == {}, "set up again: rm -rf .venv; make test"


def planned(folder: Path) -> str:
    """Return what `make` would run to set up the environment in a folder."""
    for name in ("Makefile", "requirements.lock", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    command = ["make", "--dry-run", ".venv/ready"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_clone_that_was_moved_gets_a_new_environment(tmp_path: Path) -> None:
    assert "-r requirements.lock" in planned(tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "ready").write_text(f"{tmp_path}\n")
    assert "-m venv" not in planned(tmp_path)
    (tmp_path / ".venv" / "ready").write_text("/another/folder\n")
    assert "-m venv --clear .venv" in planned(tmp_path)
