"""A server that speaks the hub's protocol, for repositories that tests make in a folder."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REVISION = "a" * 40
OLD = "b" * 40


class Hub(BaseHTTPRequestHandler):
    """Serves `root/{models,datasets}/owner/name/<revision>/files`; "owner/gated" asks for consent.

    The newest revision of every repository is REVISION. Paths that were asked for are in `asked`.
    """

    root: Path
    asked: list[str]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer with the headers of a file."""
        self._file(body=False)

    def do_GET(self) -> None:
        """Answer with a file, what a repository is, or what is in it."""
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/"):
            self._api(path.split("/")[2:])
        else:
            self._file(body=True)

    def do_POST(self) -> None:
        """Answer which of some paths there are."""
        words = unquote(urlsplit(self.path).path).split("/")[2:]
        size = int(self.headers.get("Content-Length") or 0)
        asked = json.loads(self.rfile.read(size) or b"{}").get("paths", [])
        kind, owner, name, _, revision = words[:5]
        folder = self._folder(kind, owner, name, revision)
        if folder is None:
            return
        self._json([_entry(folder, folder / path) for path in asked if (folder / path).exists()])

    def _api(self, words: list[str]) -> None:
        if len(words) < 3:
            self._refuse(404, "EntryNotFound")
            return
        kind, owner, name, *rest = words
        revision = rest[1] if len(rest) > 1 else "main"
        folder = self._folder(kind, owner, name, revision)
        if folder is None:
            return
        if rest[:1] == ["tree"]:
            below = folder / "/".join(rest[2:])
            found = sorted(path for path in below.rglob("*"))
            self._json([_entry(folder, path) for path in found])
        else:
            files = [{"rfilename": str(f.relative_to(folder))} for f in _files(folder)]
            self._json(
                {"id": f"{owner}/{name}", "sha": folder.name, "siblings": files, "tags": [],
                 "private": False, "downloads": 0, "likes": 0, "gated": False,
                 "lastModified": "2026-01-01T00:00:00.000Z"}
            )  # fmt: skip

    def _file(self, body: bool) -> None:
        words = unquote(urlsplit(self.path).path).strip("/").split("/")
        kind = "datasets" if words[0] == "datasets" else "models"
        words = words[1:] if kind == "datasets" else words
        owner, name, _, revision, *path = words
        folder = self._folder(kind, owner, name, revision)
        if folder is None:
            return
        file = folder.joinpath(*path)
        if not file.is_file():
            self._refuse(404, "EntryNotFound")
            return
        content = file.read_bytes()
        begin, end = self._range(len(content))
        self.send_response(206 if self.headers.get("Range") else 200)
        for key, value in {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": folder.name,
            "Accept-Ranges": "bytes", "Content-Length": str(end - begin),
            "Content-Range": f"bytes {begin}-{end - 1}/{len(content)}",
        }.items():  # fmt: skip
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content[begin:end])

    def _range(self, size: int) -> tuple[int, int]:
        asked = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=")
        first, _, last = asked.partition("-")
        return int(first), min(int(last) + 1, size) if last else size

    def _folder(self, kind: str, owner: str, name: str, revision: str) -> Path | None:
        """Return the folder of a revision; answer with the fault, and return None, if none is."""
        self.asked.append(self.path)
        if name == "gated":
            self._refuse(403, "GatedRepo")
            return None
        repo = self.root / kind / owner / name
        folder = repo / (REVISION if revision == "main" else revision)
        if not repo.is_dir():
            self._refuse(404, "RepoNotFound")
        elif not folder.is_dir():
            self._refuse(404, "RevisionNotFound")
        return folder if folder.is_dir() else None

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, found: Any) -> None:
        content = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = str(path.relative_to(folder))
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
    content = path.read_bytes()
    oid = hashlib.sha1(content).hexdigest()
    return {"type": "file", "path": name, "oid": oid, "size": len(content)}


@contextmanager
def served(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the repositories below `root`; yield the address and the list of what was asked."""
    asked: list[str] = []
    handler = type("Handler", (Hub,), {"root": root, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
