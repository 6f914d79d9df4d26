"""What a study should come out as, and whether the working tree agrees: bytes, then statistics."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reproduce.files import SUMS, UnusableFile, checked, digest, fingerprint, read_csv, read_json

Row = Mapping[str, str]
Status = Literal["identical", "agrees", "outside", "missing"]

KEY = ("claim", "comparison", "measure")
"""What names a row of the table of claims."""

MOST_NAMED = 8

LIBRARIES = ("torch", "transformers", "numpy", "tokenizers", "scikit-learn")
"""What the numbers could depend on."""


@dataclass(frozen=True)
class Verdict:
    """One claim of the expectations, as the working tree has it.

    `status`: identical (every digit), agrees (the same verdict, and an effect inside the expected
    interval), outside, or missing.
    """

    name: str
    expected: str
    found: str
    status: Status


@dataclass(frozen=True)
class Comparison:
    """What `verify` found.

    Attributes:
        claims: one verdict a row of the expected table of claims.
        outputs: the number of tables, figures and artifacts that are expected.
        differing: names of outputs with other bytes, and of those that are not there.
        environments: where the expected bytes came out.
    """

    claims: list[Verdict]
    outputs: int
    differing: tuple[list[str], list[str]]
    environments: list[dict[str, str]]

    @property
    def holds(self) -> bool:
        """Return whether every claim came out as expected, in bytes or statistically."""
        return all(each.status in ("identical", "agrees") for each in self.claims)

    @property
    def same_bytes(self) -> bool:
        """Return whether every output is there, byte for byte."""
        return not any(self.differing)


def expectations(tables: Path, figures: Path, artifacts: Path) -> dict[str, Any]:
    """Return what `tables`, `figures` and `artifacts` hold now, with the machine that made it.

    Raises UnusableFile naming what is missing, or was changed since it was made.
    """
    sealed = sorted(path.parent for path in artifacts.glob("**/" + SUMS) if _outermost(path))
    if not sealed:
        raise UnusableFile(f"{artifacts}: nothing there; run `dvc repro`")
    return {
        "claims": read_csv(tables / "claims.csv"),
        "files": {name: digest(path) for name, path in _files(tables, figures)},
        "artifacts": {
            folder.relative_to(artifacts).as_posix(): fingerprint(checked(folder))
            for folder in sealed
        },
        "environments": [environment()],
    }


def merged(found: dict[str, Any], known: Path) -> dict[str, Any]:
    """Return `found`, with the environments of the file `known` if its bytes are the same."""
    if not known.is_file():
        return found
    old = read_json(known)
    parts = ("claims", "files", "artifacts")
    if any(old.get(part) != found[part] for part in parts):
        return found
    others = [each for each in old["environments"] if each not in found["environments"]]
    return {**found, "environments": [*others, *found["environments"]]}


def environment() -> dict[str, str]:
    """Return the processor, its cores, the system and the versions that numbers depend on."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def compared(expected: Sequence[Row], found: Sequence[Row]) -> list[Verdict]:
    """Return for every expected row of the table of claims what the found table says of it."""
    there = {tuple(row[key] for key in KEY): row for row in found}
    return [_compared(row, there.get(tuple(row[key] for key in KEY))) for row in expected]


def differing(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the names whose digests differ, and those that are not there."""
    changed = [name for name in expected if name in found and found[name] != expected[name]]
    return changed, [name for name in expected if name not in found]


def read_expectations(path: Path) -> dict[str, Any]:
    """Return the expectations of a file; raise UnusableFile if it has another form."""
    if not path.is_file():
        raise UnusableFile(f"{path}: missing; `reproduce expect` writes it from finished results")
    found = read_json(path)
    if not isinstance(found, dict) or not {"claims", "files", "artifacts"} <= set(found):
        raise UnusableFile(f"{path}: not a file of expectations; take it from the repository")
    return found


def verify(path: Path, tables: Path, figures: Path, artifacts: Path) -> Comparison:
    """Return how the working tree compares with the expectations in `path`; nothing is changed.

    Raises UnusableFile naming a file that is missing, or was changed since its stage made it.
    """
    expected = read_expectations(path)
    folders = {name: artifacts / name for name in expected["artifacts"]}
    there = {name: fingerprint(checked(f)) for name, f in folders.items() if f.is_dir()}
    files = {name: digest(file) for name, file in _files(tables, figures)}
    return Comparison(
        compared(expected["claims"], read_csv(tables / "claims.csv")),
        len(expected["files"]) + len(expected["artifacts"]),
        differing({**expected["files"], **expected["artifacts"]}, {**files, **there}),
        expected["environments"],
    )


def stale() -> list[str]:
    """Return the stages whose code, parameters or inputs are not those of their results.

    Empty where DVC cannot say.
    """
    asked = subprocess.run(["dvc", "status", "--json"], check=False, capture_output=True, text=True)
    try:
        found: dict[str, list[Any]] = json.loads(asked.stdout)
    except ValueError:
        return []
    return [stage for stage, changes in found.items() if any(map(_reruns, changes))]


def told(found: Comparison) -> str:
    """Return a comparison as text: claim by claim, then what is not the same bytes."""
    width = max(len(each.name) for each in found.claims)
    lines = [f"{each.name:{width}}  {each.status:9}  {each.found}" for each in found.claims]
    lines += [
        f"{'':{width}}  expected   {each.expected}"
        for each in found.claims if each.status in ("outside", "missing")
    ]  # fmt: skip
    changed, absent = found.differing
    same = found.outputs - len(changed) - len(absent)
    lines.append(f"\n{same} of {found.outputs} outputs have the expected bytes")
    for what, names in (("differ", changed), ("are not here", absent)):
        if names:
            shown = ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "")
            lines.append(f"{len(names)} {what}: {shown}")
    lines.append("The expected bytes came out on:")
    lines += [f"  {', '.join(f'{k} {v}' for k, v in each.items())}" for each in found.environments]
    return "\n".join(lines)


def _reruns(change: Any) -> bool:
    # What is only missing (a clone without artifacts) does not make a result wrong.
    if not isinstance(change, dict):
        return bool(change == "changed command")
    changed = change.get("changed deps", {})
    return any("deleted" not in str(state) for state in changed.values())


def _compared(expected: Row, found: Row | None) -> Verdict:
    name = f"{expected['comparison']}, {expected['measure']}"
    if found is None:
        return Verdict(name, _said(expected), "–", "missing")
    numbers = ("effect", "effect_low", "effect_high", "verdict")
    if all(expected[key] == found[key] for key in numbers):
        return Verdict(name, _said(expected), _said(found), "identical")
    same = expected["verdict"] == found["verdict"] and _inside(expected, found)
    return Verdict(name, _said(expected), _said(found), "agrees" if same else "outside")


def _inside(expected: Row, found: Row) -> bool:
    try:
        low, high = float(expected["effect_low"]), float(expected["effect_high"])
        return low <= float(found["effect"]) <= high
    except ValueError:
        return False


def _said(row: Row) -> str:
    if not row["effect"]:
        return row["verdict"]
    mean, low, high = (float(row[key]) for key in ("effect", "effect_low", "effect_high"))
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] {row['verdict']}"


def _files(tables: Path, figures: Path) -> list[tuple[str, Path]]:
    found = [path for folder in (tables, figures) for path in sorted(folder.glob("*"))]
    if not found:
        raise UnusableFile(f"{tables}, {figures}: nothing there; run `dvc repro`")
    return [(f"{path.parent.name}/{path.name}", path) for path in found]


def _outermost(sums: Path) -> bool:
    # An imported model is a sealed folder inside a stage's own.
    return not any((parent / SUMS).is_file() for parent in sums.parent.parents)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
