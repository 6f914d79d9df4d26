"""What tests measured, as tables: the page docs/evidence.md.

`pytest --junitxml REPORT.xml`, then `python tests/evidence.py REPORT.xml > docs/evidence.md`.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Note = Callable[[str, dict[str, Any]], None]
"""Puts a row (column -> value) under a heading."""


def page(report: Path) -> str:
    """Return the rows that tests noted, a table a heading, as Markdown."""
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in ElementTree.parse(report).iter("property"):
        tables[each.attrib["name"]].append(json.loads(each.attrib["value"]))
    parts = (f"## {title}\n\n{table(tables[title])}" for title in sorted(tables))
    return "\n".join(["# What tests measured\n", *parts])


def table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row.get(name, "")) for name in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(Path(sys.argv[1])), end="")
