"""A table of rows as text, for the benchmarks' output."""

from collections.abc import Sequence
from typing import Any


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of equal keys as a table of aligned columns."""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    )
