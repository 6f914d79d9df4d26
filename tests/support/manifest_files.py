"""A file as the manifest pins it, and files where a mirror has them."""

import hashlib
from pathlib import Path
from typing import Any

from reproduce import download

CONTENT = b"a small file\n"


def entry(content: bytes = CONTENT, **changes: Any) -> download.Entry:
    """Return a manifest's entry for a file with this content."""
    values = {
        "name": "small", "path": "owner/repository/commit/small.txt", "licence": "CC0-1.0",
        "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "serves": "tests",
        "url": "http://localhost/small.txt", **changes,
    }  # fmt: skip
    return download.Entry(**values)


def put(folder: Path, path: str, content: bytes | str) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return target
