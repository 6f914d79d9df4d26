"""A file as the manifest pins it, and files put where a mirror has them, for tests."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from reproduce import download as fetch

CONTENT = b"a small file\n"


def entry(content: bytes = CONTENT, **changes: Any) -> fetch.Entry:
    made = fetch.Entry(
        name="small",
        path="owner/repository/commit/small.txt",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        licence="CC0-1.0",
        serves="tests",
        url="http://localhost/small.txt",
    )
    return replace(made, **changes)


def put(folder: Path, path: str, content: bytes | str) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return target
