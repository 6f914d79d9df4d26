"""What the benchmarks say of themselves: their rows as text, and the command that made them."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def as_called() -> str:
    """Return the command that runs as one would type it in the repository, but for its output."""
    words = sys.argv[1:]
    if "--output" in words:
        at = words.index("--output")
        words = words[:at] + words[at + 2 :]
    return shlex.join(["python", f"analysis/{Path(sys.argv[0]).name}", *words])


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of equal keys as a table of aligned columns, without the command."""
    shown = [{key: value for key, value in row.items() if key != "command"} for row in rows]
    lines = [list(shown[0]), *([str(value) for value in row.values()] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    )
