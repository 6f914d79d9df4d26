"""What all figures share: theme, colours, layout, error bars, and the note on n and intervals."""

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reproduce.evaluation.formatting import interval, over, percent, plural, span
from reproduce.utils.files import read_csv

WIDTH = 14 / 2.54
"""Width of every figure in inches; text is legible at that size, and on a phone."""

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5,
    "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "legend.fontsize": 8.5, "legend.frameon": False,
    "lines.linewidth": 1.4, "lines.markersize": 5, "grid.linewidth": 0.4, "axes.linewidth": 0.6,
    "pdf.fonttype": 42, "svg.hashsalt": "reproduce", "axes.titlelocation": "left",
}  # fmt: skip

GREY, DARK = "#8c8c8c", "#333333"
PALETTE: list[Any] = list(sns.color_palette("colorblind"))
"""Ten colours that colour-blind readers can tell apart (seaborn's "colorblind")."""

COLOURS = {
    "base": GREY, "IF": PALETTE[0], "CD": PALETTE[1], "CD-IF": PALETTE[5], "IF-CD": PALETTE[9],
    "MTL": DARK, "MTL-again": PALETTE[3], "ReSet": PALETTE[2], "ReSet-S": PALETTE[4],
}  # fmt: skip
"""The main arms, one colour in every figure."""

MARKERS = {"IF": "s", "CD": "s", "CD-IF": "D", "IF-CD": "D", "MTL-again": "v", "ReSet": "^",
           "ReSet-S": "^"}  # fmt: skip
"""Squares are specialists, diamonds two-stage arms, triangles ReSet; all others are circles."""

VERDICTS = {"supported": PALETTE[2], "ruled out": PALETTE[3], "depends on the metric": PALETTE[4]}
"""Verdict -> colour; grey for the others."""

PNG: dict[str, Any] = {"dpi": 200, "metadata": {"Software": None}}
"""How figures are saved as PNG, the same bytes each time."""


def read_table(tables: Path, name: str) -> Any:
    """Return a table as a frame; empty cells are NaN."""
    return pd.read_csv(tables / f"{name}.csv")


def effect(tables: Path, name: str, arm: str, column: str, sign: bool = True) -> str:
    """Return an estimate of an arm, as a table has it, with its interval."""
    row = next(row for row in read_csv(tables / f"{name}.csv") if row["arm"] == arm)
    return interval(row, column, sign)


def objective_labels(tables: Path) -> dict[str, str]:
    """Return the axis labels of both objectives, by the metrics that the claims are judged by."""
    judges = " ".join(read_table(tables, "claims")["judge"])
    rated, by_words = "rating" in judges, "coverage" in judges or "k_precision" in judges
    faithfulness = "share of words from the passage" if by_words else "0 contradicted, 1 entailed"
    return {
        "instruction": f"Instruction following ({'rating' if rated else 'share of instructions'})",
        "faithfulness": f"Faithfulness ({faithfulness})",
    }


def new_figure(height: float, title: str, note: str, **grid: Any) -> tuple[Figure, Any]:
    """Return a figure with its axes and a bold title above them.

    `height` is in inches; `note` becomes the figure's label, which pages show below the image;
    `grid` are arguments of `Figure.subplots`.
    """
    sns.set_theme(context="paper", style="whitegrid", rc=STYLE)
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.06))
    FigureCanvasAgg(figure)
    # Intervals stay on one line.
    whole = re.sub(r"\[.*?\]", lambda match: match[0].replace(" ", "\u00a0"), title)
    title = "\n".join(textwrap.wrap(whole, 68))
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, weight="bold")
    figure.set_label(note)
    return figure, figure.subplots(**grid)


def interval_note(tables: Path, rows: Any, columns: Mapping[str, str]) -> str:
    """Return the sentence on n, seeds and intervals.

    `columns` are the estimates of the frame `rows` that a figure shows, with a reader's name of
    each; "" where there is one only.
    """
    counts = {title: span(rows[f"{column}_prompts"]) for column, title in columns.items()}
    if len(set(counts.values())) == 1:
        prompts = next(iter(counts.values()))
    else:
        prompts = ", ".join(f"{count} ({title})" for title, count in counts.items())
    seeds = max((int(n) for column in columns for n in rows[f"{column}_seeds"].dropna()), default=0)
    level = percent(float(read_table(tables, "study")["confidence"].iloc[0]))
    return f"n = {prompts} prompts, {plural(seeds, 'seed')}; {level} intervals {over(seeds)}."


def error_bars(rows: Any, name: str) -> Any:
    """Return the lengths (2, n) below and above the means of an estimate, for n rows or for one."""
    sides = [rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]]
    return np.maximum(0.0, np.array(sides, dtype=float).reshape(2, -1))


def save(figure: Figure, target: Path) -> None:
    """Write target.png (200 dpi) and target.pdf, the same bytes each time."""
    figure.savefig(target.with_suffix(".png"), **PNG)
    figure.savefig(target.with_suffix(".pdf"), metadata={"CreationDate": None})
