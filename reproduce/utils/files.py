"""Files between steps: written once, moved into place, read with checks."""

import contextlib
import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"
WEIGHTS = "*.safetensors"


class UnusableFile(Exception):
    """A file that is missing, truncated or not what its reader expects."""


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` (file or folder); move it there on success.

    A kill at any moment leaves the old `target`, the new one or none, never a part.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.????????"):
        shutil.rmtree(left)  # What a killed run has left; no two write one target.
    workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        draft = workspace / target.name
        yield draft
        if target.is_dir() and draft.exists():
            os.replace(target, workspace / "old")
        os.replace(draft, target)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


@contextlib.contextmanager
def sealed_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder; on success add SHA256SUMS and move it to `target`."""
    with replacing(target) as draft:
        draft.mkdir()
        yield draft
        lines = [f"{digest(path)}  {path.relative_to(draft)}\n" for path in _members(draft)]
        (draft / SUMS).write_text("".join(lines), encoding="utf-8")


def checked(folder: Path, unread: str = "") -> Path:
    """Return `folder` if it is whole: what SHA256SUMS lists is there, byte for byte, and no more.

    Of files whose names match `unread` (WEIGHTS, say) only presence counts, for reading gigabytes
    takes minutes.

    Raises UnusableFile, naming the first file that is missing, was changed or was added.
    """
    listed = {_sums(folder)}
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        if not name:
            raise UnusableFile(f"{folder / SUMS}: truncated; delete {folder} and run `dvc repro`")
        path = folder / name
        if not path.is_file():
            raise UnusableFile(f"{path}: missing; run `dvc repro` to make it")
        if not fnmatch(path.name, unread) and digest(path) != expected:
            raise UnusableFile(
                f"{path}: truncated or edited since it was made; "
                f"delete {folder} and run `dvc repro` to make it again"
            )
        listed.add(path)
    if added := [path for path in _members(folder) if path not in listed]:
        raise UnusableFile(f"{added[0]}: does not belong to {folder}; take it away")
    return folder


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, whole or not at all."""
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; NaN is refused."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(target, text + "\n")


def read_json(source: Path) -> Any:
    """Return the JSON value in `source`; raise UnusableFile by name if there is none."""
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnusableFile(f"{source}: {_reason(error)}") from error


def write_rows(target: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line (JSON Lines); NaN is refused."""
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows)
    write_text(target, "".join(f"{line}\n" for line in lines))


def read_rows(source: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file; raise UnusableFile by name."""
    try:
        return [json.loads(line) for line in _lines(source)]
    except (OSError, ValueError) as error:
        raise UnusableFile(f"{source}: {_reason(error)}") from error


def write_csv(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of equal keys as CSV with a header; no rows are refused."""
    if not rows:
        raise ValueError(f"{target}: a table without rows")
    with replacing(target) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(source: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header; raise UnusableFile by name if there is none."""
    try:
        with source.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError) as error:
        raise UnusableFile(f"{source}: {_reason(error)}") from error
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise UnusableFile(f"{source}: row {number} is cut off; run `dvc repro` to make it")
    return rows


def read_filled(source: Path, columns: Iterable[str] = ()) -> list[dict[str, str]]:
    """Return the rows of a CSV file; raise UnusableFile where it has none, or lacks a column."""
    rows = read_csv(source)
    if not rows:
        raise UnusableFile(f"{source}: has no rows; run `dvc repro` to make it")
    if missing := [column for column in columns if column not in rows[0]]:
        raise UnusableFile(f"{source}: has no column {missing[0]}; run `dvc repro` to make it")
    return rows


def fingerprint(folder: Path) -> str:
    """Return the sha256 of a sealed folder's SHA256SUMS: one name for all its bytes.

    Raises UnusableFile where the folder is missing or unfinished.
    """
    return digest(_sums(folder))


@contextlib.contextmanager
def put_aside(folder: Path) -> Iterator[None]:
    """Let a folder be empty for as long as the block runs, then be as it was before."""
    aside = folder.with_name(f"{folder.name}.aside")
    if aside.exists():
        shutil.rmtree(folder, ignore_errors=True)  # Left by a block that was killed.
    elif folder.exists():
        folder.rename(aside)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.exists():
            aside.rename(folder)


def text_id(*parts: str) -> str:
    """Return a stable 12-digit hexadecimal name for a text made of `parts`."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]


def _lines(source: Path) -> list[str]:
    # Not splitlines(): a text may hold U+2028 or U+0085, which JSON leaves as they are.
    return [line for line in source.read_text(encoding="utf-8").split("\n") if line]


def _sums(folder: Path) -> Path:
    if not (folder / SUMS).is_file():
        raise UnusableFile(f"{folder}: missing or unfinished; run `dvc repro` to make it")
    return folder / SUMS


def _members(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal; OSError when it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing; run `dvc repro` to make it"
    return f"unreadable ({error})"
