"""The environment: direct pins, the full lock and what is installed say the same."""

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

ROOT = Path(__file__).parent.parent


def pins(lines: list[str]) -> dict[str, str]:
    """Return package -> version of lines that must all be "name==version"."""
    found = {}
    for line in (line.split("#")[0].strip() for line in lines):
        if line:
            match = re.fullmatch(r"([\w.-]+)==([\w.!]+)", line)
            assert match, f"not pinned exactly: {line}"
            found[str(canonicalize_name(match[1]))] = match[2]
    return found


def locked(name: str = "requirements.lock") -> dict[str, str]:
    return pins((ROOT / name).read_text(encoding="utf-8").splitlines())


def direct() -> dict[str, str]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return pins(next(each["pip"] for each in listed["dependencies"] if isinstance(each, dict)))


def needs(name: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """Return what an installed package needs on this machine, with its chosen extras."""
    found = [Requirement(text) for text in importlib.metadata.requires(name) or []]
    wanted = [{"extra": extra} for extra in extras or {""}]
    return [
        each
        for each in found
        if each.marker is None or any(each.marker.evaluate(extra) for extra in wanted)
    ]


def closure(names: set[str]) -> set[str]:
    """Return the packages that installed packages bring along, themselves included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    pending = [(name, frozenset[str]()) for name in names]
    while pending:
        entry = pending.pop()
        if entry not in seen:
            seen.add(entry)
            needed = needs(*entry) if installed(entry[0]) else []
            pending += [(canonicalize_name(n.name), frozenset(n.extras)) for n in needed]
    return {name for name, _ in seen}


def installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def imported() -> set[str]:
    """Return the packages that code, notebooks' twins and tests import."""
    files = [f for part in ("reproduce", "analysis", "tests") for f in (ROOT / part).rglob("*.py")]
    names: set[str] = set()
    for node in (n for file in files for n in ast.walk(ast.parse(file.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    own = {file.stem for file in files} | {"reproduce"}
    return names - own - set(sys.stdlib_module_names)


def test_direct_pins_are_those_of_the_lock() -> None:
    assert len(direct()) > 30
    assert {name: locked()[name] for name in direct()} == direct()


def test_whatever_is_imported_is_pinned_directly() -> None:
    packages = importlib.metadata.packages_distributions()
    missing = [
        name for name in sorted(imported())
        if not {str(canonicalize_name(each)) for each in packages[name]} & set(direct())
    ]  # fmt: skip
    assert missing == []


def test_the_lock_holds_all_that_the_direct_pins_bring_along() -> None:
    assert closure(set(direct())) - set(locked()) - set(locked("constraints.txt")) == set()


def test_what_is_installed_is_what_is_locked() -> None:
    other = {}
    for name, version in locked().items():
        if not installed(name):
            other[name] = "is not installed"
            continue
        found = Version(importlib.metadata.version(name))
        # "+cpu" or "+cu130" names a build of the same version.
        if found.public != version:
            other[name] = f"{found} is installed, {version} is locked"
    assert other == {}, "set up again: rm -rf .venv; make test"


def test_what_the_machine_decides_on_is_pinned_too() -> None:
    cuda = locked("constraints.txt")
    assert any(name.startswith("nvidia-") for name in cuda) and {"triton", "setuptools"} <= set(
        cuda
    )
    assert not set(cuda) & set(locked())


def test_python_is_the_version_that_the_project_asks_for() -> None:
    assert sys.version_info[:2] == (3, 11)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11,<3.12"' in project


def test_every_installation_is_held_to_both_files(tmp_path: Path) -> None:
    copy_of_makefile(tmp_path)
    said = planned(tmp_path)
    assert "pip install" in said and "-r requirements.lock" in said
    assert "PIP_CONSTRAINT := $(CURDIR)/constraints.txt" in (tmp_path / "Makefile").read_text()


def test_a_clone_that_was_moved_gets_a_new_environment(tmp_path: Path) -> None:
    copy_of_makefile(tmp_path)
    (tmp_path / ".venv").mkdir()
    ready = tmp_path / ".venv" / "ready"
    ready.write_text(f"{tmp_path}\n")
    assert "-m venv" not in planned(tmp_path)
    ready.write_text("/another/place\n")
    assert "-m venv --clear .venv" in planned(tmp_path)


def copy_of_makefile(folder: Path) -> None:
    for name in ("Makefile", "requirements.lock", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)


def planned(folder: Path) -> str:
    """Return what `make` would run to set up the environment in a folder."""
    command = ["make", "--dry-run", ".venv/ready"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
