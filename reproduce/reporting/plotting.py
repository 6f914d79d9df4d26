"""What the figures share: theme, colours, titles, intervals, labels that keep out of the way."""

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from reproduce.config import BY_ENTAILMENT
from reproduce.utils.formatting import over, percent, plural, span

Boxes = NDArray[np.float64]

WIDTH = 16 / 2.54
"""Inches; every figure is to be read at 16 cm."""

RC = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.fontsize": 7, "legend.frameon": False,
    "lines.linewidth": 1.4, "lines.markersize": 5, "grid.linewidth": 0.4, "axes.linewidth": 0.6,
    "pdf.fonttype": 42, "svg.hashsalt": "reproduce", "axes.titlelocation": "left",
}  # fmt: skip

GREY, DARK = "#8c8c8c", "#333333"
PALETTE: list[Any] = list(sns.color_palette("colorblind"))
"""Ten colours that stay apart for colour-blind readers (seaborn's "colorblind")."""

COLOURS = {
    "base": GREY, "IF": PALETTE[0], "CD": PALETTE[1], "CD-IF": PALETTE[5], "IF-CD": PALETTE[9],
    "MTL": DARK, "ReSet": PALETTE[2], "ReSet-S": PALETTE[4],
}  # fmt: skip


def read_table(tables: Path, name: str) -> Any:
    """Return a committed table as a frame; empty cells are NaN."""
    return pd.read_csv(tables / f"{name}.csv")


def if_axis(tables: Path) -> str:
    """Return the label of an axis of instruction following, by what the claims are judged by."""
    what = "rating" if _by(tables, "rating") else "share of instructions"
    return f"Instruction following ({what})"


def faith_axis(tables: Path) -> str:
    """Return the label of an axis of faithfulness, by what the claims are judged by."""
    if _by(tables, *BY_ENTAILMENT):
        return "Faithfulness (−1 contradicted, 1 entailed)"
    return "Faithfulness (share of words from the passage)"


def _by(tables: Path, *measures: str) -> bool:
    """Return whether one of `measures` carries a claim."""
    return bool(read_table(tables, "claims")["judge"].str.contains("|".join(measures)).any())


def new_figure(height: float, title: str, note: str, **grid: Any) -> tuple[Figure, Any]:
    """Return a figure of the common width with its axes, a title and a note below that title."""
    sns.set_theme(context="paper", style="whitegrid", rc=RC)
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.06))
    FigureCanvasAgg(figure)
    lines = "\n".join([title, *textwrap.wrap(note, 108)])
    figure.suptitle(lines, x=0.01, ha="left", fontsize=8, linespacing=1.4)
    return figure, figure.subplots(**grid)


def interval_note(tables: Path, rows: Any, columns: Mapping[str, str]) -> str:
    """Return the words on n, seeds and interval for the note of a figure.

    `columns` are the estimates of the table `rows` that the figure shows, with what a reader
    calls each.
    """
    counts = {title: span(rows[f"{column}_prompts"]) for column, title in columns.items()}
    said = ", ".join(f"{count} ({title})" if title else count for title, count in counts.items())
    runs = max((int(n) for column in columns for n in rows[f"{column}_seeds"].dropna()), default=0)
    return (
        f"n = {said} prompts, {plural(runs, 'seed')}; {percent(confidence(tables))} bootstrap "
        f"intervals {over(runs)}."
    )


def confidence(tables: Path) -> float:
    """Return the confidence level of the study's intervals."""
    return float(read_table(tables, "study")["confidence"].iloc[0])


def bars(row: Any, name: str) -> list[list[float]]:
    """Return the lengths below and above the mean, as matplotlib's error bars take them."""
    mean = row[name]
    return [[max(0.0, mean - row[f"{name}_low"])], [max(0.0, row[f"{name}_high"] - mean)]]


def looks(colours: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Yield the colour and style of one line after another: dashed once the colours are used up."""
    return itertools.cycle((colour, style) for style in ("-", "--") for colour in colours)


def loss_line(axes: Axes, run: Any, colour: Any, style: str) -> None:
    """Draw the losses of one arm, means over its seeds, by the share of its training."""
    # Seeds may log at steps that differ by one; the n-th log of each is one point.
    points = run.assign(point=run.groupby("seed").cumcount()).groupby("point")
    shares = points["step"].mean() / run["step"].max()
    # A line through a single point would not be seen.
    alone = "." if len(shares) < 2 else ""
    label = run["label"].iloc[0]
    axes.plot(shares, points["loss"].mean(), style, color=colour, label=label, marker=alone)


def place_labels(
    axes: Axes, points: Sequence[tuple[float, float, str, Any]], obstacles: Boxes
) -> None:
    """Write a label beside each point (x, y, text, colour), where it covers least.

    Obstacles are rows (left, bottom, right, top) in pixels; a label becomes one in its turn. A
    label that would be nearer to the point of another has a line to its own.
    """
    frame = np.array(axes.get_window_extent().extents)
    dots = axes.transData.transform([(x, y) for x, y, _, _ in points])
    for own, (x, y, text, colour) in enumerate(points):
        # White behind the letters: an arrow may pass under a label, never through it.
        label = axes.annotate(
            text, (x, y), (0, 0), textcoords="offset points", color=colour, weight="bold",
            ha="center", va="center", fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.8},
        )  # fmt: skip
        middle = np.array(label.get_window_extent().extents)
        half = (middle[2:] - middle[:2]) / 2
        edges = [reach * np.array(side) for reach in _REACHES for side in _SIDES]
        shifts = [half * np.sign(edge) + edge for edge in edges]
        boxes = [middle + np.tile(shift, 2) + _MARGIN for shift in shifts]
        strays = [int(_distance(box, dots).argmin()) != own for box in boxes]
        costs = [
            _covered(box, obstacles, frame) + 0.05 * n + _STRAY * stray
            for n, (box, stray) in enumerate(zip(boxes, strays, strict=True))
        ]
        best = int(np.argmin(costs))
        label.set_position(tuple(shifts[best] * 72 / axes.figure.dpi))
        if best >= len(_SIDES) or strays[best]:  # Not to be read without a line to its point.
            edge = tuple(edges[best] * 72 / axes.figure.dpi)
            leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0}
            axes.annotate("", (x, y), edge, textcoords="offset points", arrowprops=leader)
        obstacles = np.vstack([obstacles, boxes[best]])


def display_boxes(axes: Axes, lines: Sequence[Sequence[tuple[float, float]]]) -> Boxes:
    """Return small boxes, in pixels, along straight lines that are given in data units."""
    boxes = []
    for ends in lines:
        start, end = axes.transData.transform(ends)
        steps = max(2, int(np.abs(end - start).max() / 4))
        for share in np.linspace(0, 1, steps + 1):
            point = start + share * (end - start)
            boxes.append([*(point - 2), *(point + 2)])
    return np.array(boxes)


def save(figure: Figure, target: Path) -> None:
    """Write target.png (200 dpi) and target.pdf without dates, so that bytes do not change."""
    figure.savefig(target.with_suffix(".png"), dpi=200, metadata={"Software": None})
    figure.savefig(target.with_suffix(".pdf"), metadata={"CreationDate": None})


def _covered(box: Boxes, taken: Boxes, frame: Boxes) -> float:
    sides = np.minimum(box[2:], taken[:, 2:]) - np.maximum(box[:2], taken[:, :2])
    outside = (box[:2] < frame[:2]).any() or (box[2:] > frame[2:]).any()
    return float(np.clip(sides, 0, None).prod(axis=1).sum()) + 1e6 * bool(outside)


def _distance(box: Boxes, dots: Boxes) -> Boxes:
    beyond = np.maximum(box[:2] - dots, dots - box[2:]).clip(0)
    return np.asarray(np.hypot(*beyond.T))


_STRAY = 60
"""What it costs to stand nearer to another point, in pixels covered."""
_REACHES = (8, 15, 25, 40, 60)
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
_MARGIN = np.array([-2, -2, 2, 2])
