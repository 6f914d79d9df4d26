"""Tables as files: CSV for programs, Markdown for readers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from reproduce.evaluation.formatting import numbered, over, percent, short, span
from reproduce.evaluation.results import Estimate, Results

Cell = str | int | float | Estimate | None
TableRow = dict[str, Cell]
PARTS = ("low", "high", "prompts", "seeds", "dropped")
"""What an estimate has next to its mean: columns of the CSV."""


@dataclass(frozen=True)
class Table:
    """A table to be written.

    Attributes:
        name: of its files, without ending.
        rows: with the same keys; None is a cell that does not apply.
        headers: key of a column -> its header in Markdown, where other columns are left out. A
            table without headers is for programs only and has no Markdown.
        title: one line for readers.
        text: one sentence on what the rows are.
        notes: what readers need to understand the columns.
    """

    name: str
    rows: Sequence[TableRow]
    headers: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    text: str = ""
    notes: Sequence[str] = ()


def write_table(table: Table, folder: Path) -> None:
    """Write NAME.csv and, if the table has headers, NAME.md to a folder."""
    frame = pd.DataFrame(spread_estimates(table.rows))
    frame.to_csv(folder / f"{table.name}.csv", index=False, lineterminator="\n")
    if table.headers:
        page = folder / f"{table.name}.md"
        page.write_text(markdown(table), encoding="utf-8", newline="\n")


def spread_estimates(rows: Sequence[TableRow]) -> list[dict[str, str]]:
    """Return rows of text, numbers with 6 decimals; an estimate becomes six columns."""
    estimates = {key for row in rows for key, cell in row.items() if isinstance(cell, Estimate)}
    spread = []
    for row in rows:
        cells: TableRow = {}
        for key, cell in row.items():
            cells[key] = cell.interval.mean if isinstance(cell, Estimate) else cell
            if key in estimates:
                values: Sequence[Cell] = [None] * len(PARTS)
                if isinstance(cell, Estimate):
                    i = cell.interval
                    values = (i.low, i.high, i.prompts, i.seeds, cell.dropped)
                names = (f"{key}_{part}" for part in PARTS)
                cells |= dict(zip(names, values, strict=True))
        spread.append({key: _plain(cell) for key, cell in cells.items()})
    return spread


def markdown(table: Table) -> str:
    """Return title and text, the table in GitHub's Markdown, and the notes as a list."""
    rows = [[cell_text(row[key]).replace("|", "\\|") for key in table.headers]
            for row in table.rows]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(table.headers.values()))
    numeric = [any(isinstance(row[key], int | float | Estimate) for row in table.rows)
               for key in table.headers]  # fmt: skip
    body = frame.to_markdown(
        index=False,
        disable_numparse=True,
        colalign=["right" if is_number else "left" for is_number in numeric],
    )
    notes = "\n".join(f"- {note}" for note in table.notes)
    return "\n\n".join(filter(None, [f"**{table.title}.** {table.text}", body, notes])) + "\n"


def note_on_intervals(results: Results, rows: Sequence[TableRow]) -> str:
    """Return what is behind the estimates of a table: prompts, seeds, interval, prompts dropped."""
    cells = [cell for row in rows for cell in row.values() if isinstance(cell, Estimate)]
    dropped = max((cell.dropped for cell in cells), default=0)
    note = (
        f"n = {span(cell.interval.prompts for cell in cells)} prompts per cell, "
        f"{numbered(results.seeds)}. {in_brackets(results, over(len(results.seeds)))}"
    )
    if dropped:
        note += f" Prompts without a score for some seed are left out: at most {dropped} per cell."
    return note


def in_brackets(results: Results, over_what: str) -> str:
    """Return a sentence on the intervals of a table."""
    return f"In brackets: {percent(results.confidence)} interval {over_what}."


def cell_text(cell: Cell) -> str:
    """Return what a reader sees: 3 decimals, an estimate with its interval, a dash for None."""
    if cell is None:
        return "–"
    if isinstance(cell, Estimate):
        mean, low, high = (
            short(number, cell.difference)
            for number in (cell.interval.mean, cell.interval.low, cell.interval.high)
        )
        return f"{mean} [{low}, {high}]"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) > 1 else short(cell)
    return str(cell)


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return re.sub(r"^-(?=0\.0+$)", "", f"{cell:.6f}")
    return str(cell)
