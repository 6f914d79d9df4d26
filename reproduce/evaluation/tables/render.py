"""One table, three files of the same content: CSV for programs, Markdown and LaTeX for readers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.evaluation.results import Estimate
from reproduce.utils.files import write_csv, write_text
from reproduce.utils.formatting import short

STAGE = "the stage `tables` of dvc.yaml"
"""What makes a table, if nothing else is said."""

Row = Mapping[str, Any]

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "→": r"$\rightarrow$", "−": r"$-$", "×": r"$\times$", "Δ": r"$\Delta$", "≤": r"$\leq$",
    "[": "{[}", "]": "{]}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table to be written.

    Attributes:
        name: of its files.
        caption: what it shows, over how many prompts and seeds, with which interval.
        headers: key of a column -> header for readers; keys that are not here are in the CSV only.
        rows: cells are text, numbers, Estimates or None (does not apply).
        origin: what made it, with code in backticks.
    """

    name: str
    caption: str
    headers: Mapping[str, str]
    rows: Sequence[Row]
    origin: str = STAGE


def write_table(table: Table, target: Path) -> None:
    """Write name.csv, name.md and name.tex below `target`."""
    write_csv(target / f"{table.name}.csv", spread_out(table.rows))
    write_text(target / f"{table.name}.md", markdown(table))
    write_text(target / f"{table.name}.tex", latex(table))


def spread_out(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return rows of plain text with 6 decimals; an estimate becomes six columns."""
    spread = {key for row in rows for key, cell in row.items() if isinstance(cell, Estimate)}
    return [
        {
            name: text
            for key, cell in row.items()
            for name, text in (_spread(key, cell) if key in spread else {key: _plain(cell)}).items()
        }
        for row in rows
    ]


def markdown(table: Table) -> str:
    """Return the table as GitHub's Markdown, below its caption and its origin."""
    keys = list(table.headers)
    lines = [[table.headers[key] for key in keys]]
    lines += [["---"] * len(keys)]
    lines += [[cell(row[key]).replace("|", "\\|") for key in keys] for row in table.rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    origin = f"Made by {table.origin} from artifacts/; `{table.name}.csv` has more."
    return f"**{table.name}.** {table.caption}\n\n{body}\n\n{origin}{_filter(table)}\n"


def _filter(table: Table) -> str:
    """Return the words on how a row's runs are found in MLflow; "" where rows are no arms."""
    pairs = [(row["of"], row["minus"]) for row in table.rows if row.get("minus")]
    if pairs:
        of, minus = (f"`tags.cell LIKE '{arm}/%'`" for arm in pairs[0])
        return (
            " A row's runs in MLflow (`make ui`) are those of the arms that it compares, which the "
            f"columns `of` and `minus` of the CSV name: for the first row {of} and {minus}."
        )
    arms = [f"{row['experiment']}/{row['arm']}" for row in table.rows if row.get("arm")]
    if not arms:
        return ""
    return (
        f" A row's runs in MLflow (`make ui`) are those with the tag `cell` of its experiment, arm "
        f"and seed: `tags.cell LIKE '{arms[-1]}/%'`."
    )


def latex(table: Table) -> str:
    r"""Return the table for \input; the document needs the packages booktabs and graphicx."""
    keys = list(table.headers)
    numeric = {
        key for key in keys
        if any(isinstance(row[key], int | float | Estimate) for row in table.rows)
    }  # fmt: skip
    columns = "".join("r" if key in numeric else "l" for key in keys)
    header = " & ".join(escaped(table.headers[key]) for key in keys)
    body = [" & ".join(escaped(cell(row[key])) for key in keys) + r" \\" for row in table.rows]
    return "\n".join(
        [
            f"% Made by {table.origin.replace('`', '')}; needs booktabs and graphicx.",
            r"\begin{table}[tbp]",
            r"\centering",
            rf"\caption{{{escaped(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            header + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def cell(value: Any) -> str:
    """Return what a reader sees: 3 decimals, an estimate with its interval, a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, Estimate):
        sign = value.difference
        found = value.interval
        return f"{short(found.mean, sign)} [{short(found.low, sign)}, {short(found.high, sign)}]"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) > 1 else short(value)
    return str(value)


def escaped(text: str) -> str:
    """Return text that LaTeX sets as it reads; a minus sign before a number becomes a real one."""
    safe = "".join(_TEX.get(character, character) for character in text).replace("–", "--")
    return re.sub(r"(?<![\w-])-(?=\d)", r"$-$", safe)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return re.sub(r"^-(?=0\.0+$)", "", f"{value:.6f}") if isinstance(value, float) else str(value)


def _spread(key: str, value: Estimate | None) -> dict[str, str]:
    if value is None:
        return dict.fromkeys((key, *(f"{key}_{part}" for part in _PARTS)), "")
    found = value.interval
    parts = (found.low, found.high, found.prompts, found.seeds, value.dropped)
    named = {f"{key}_{part}": _plain(x) for part, x in zip(_PARTS, parts, strict=True)}
    return {key: _plain(found.mean), **named}


_PARTS = ("low", "high", "prompts", "seeds", "dropped")
