"""Files between stages: written whole or not at all, and read with errors that name the file."""

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class UserError(Exception):
    """An error that its message tells a user how to fix: commands print that alone."""


class UnusableFile(UserError):
    """A file that is missing, truncated or not what its reader expects."""


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder; move it to `target` when the block succeeds.

    A process that is killed leaves the old `target` or the new one, never a part. Only one
    process at a time may write a target.
    """
    workspace = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(workspace, ignore_errors=True)  # Left by a process that was killed.
    workspace.mkdir(parents=True)
    try:
        draft = workspace / target.name
        yield draft
        if target.is_dir():  # A folder can replace only an empty one.
            os.replace(target, workspace / "old")
        os.replace(draft, target)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


@contextlib.contextmanager
def atomic_dir(target: Path) -> Iterator[Path]:
    """Yield a temporary folder; move it to `target` when the block succeeds."""
    with atomic_path(target) as draft:
        draft.mkdir()
        yield draft


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends."""
    with atomic_path(target) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; ValueError for NaN."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(target, text + "\n")


def read_json(source: Path) -> Any:
    """Return the JSON value in `source`."""
    with named(source):
        return json.loads(source.read_text(encoding="utf-8"))


def write_rows(target: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line (JSON Lines); ValueError for NaN.

    Half of a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
    """
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows)
    text = "".join(f"{line}\n" for line in lines)
    write_text(target, re.sub("[\ud800-\udfff]", "\ufffd", text))


def read_rows(source: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file."""
    with named(source):
        # Parsed as one array, which is faster. Only line feeds end a row: strings may hold U+2028,
        # but JSON escapes a line feed.
        lines = source.read_text(encoding="utf-8").strip("\n").replace("\n", ",\n")
        return json.loads(f"[{lines}]")


def write_csv(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, at least one, that have the same keys as CSV with a header."""
    with atomic_path(target) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(source: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header."""
    with named(source), source.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def short_hash(*parts: str) -> str:
    """Return 12 hexadecimal digits that identify the text made of `parts`."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:12]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal; OSError if it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def named(source: Path) -> Iterator[None]:
    """Turn errors of reading into UnusableFile with the file's name."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnusableFile(f"{source}: missing; run `dvc repro` to make it") from error
    except (OSError, ValueError, csv.Error) as error:
        raise UnusableFile(f"{source}: unreadable ({error})") from error
