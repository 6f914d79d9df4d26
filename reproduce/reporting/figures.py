"""The figures of the study, drawn from its tables alone.

Each function takes the folder of tables and returns a matplotlib figure; `claims_forest` takes the
claims of several studies.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from reproduce.evaluation.claims import CLAIM_KEY
from reproduce.evaluation.formatting import interval, percent, plural, short
from reproduce.reporting.plotting import (
    COLOURS,
    DARK,
    GREY,
    MARKERS,
    PALETTE,
    effect,
    error_bar,
    interval_note,
    new_figure,
    objective_labels,
    read_table,
    save,
)
from reproduce.utils.files import atomic_dir

PATHS = (
    ("base", "CD", "CD-IF"), ("base", "IF", "IF-CD"), ("base", "MTL", "ReSet"), ("MTL", "ReSet-S"),
    ("MTL", "MTL-again"),
)  # fmt: skip
"""Arms that continue each other's training: the arrows of the trade-off."""

DIFFERENCES = {"instruction": "IF", "faithfulness": "Faithfulness", "both": "Mean of both"}
AXES = {"instruction": "instruction following", "faithfulness": "faithfulness"}


def make_figures(tables: Path, target: Path) -> None:
    """Write every figure as PNG and PDF to the folder `target`, in place of what was there.

    A figure whose table the study lacks is left out: of memorised errors on real text, say.
    """
    with atomic_dir(target) as draft:
        for name, draw in FIGURES.items():
            if (tables / f"{SOURCES.get(name, 'methods')}.csv").is_file():
                save(draw(tables), draft / name)


def trade_off(tables: Path) -> Figure:
    """Return the plane of both objectives with the main arms, and arrows for further training."""
    rows, labels = read_table(tables, "methods").set_index("arm"), objective_labels(tables)
    figure, axes = new_figure(
        4.6,
        f"ReSet gains {effect(tables, 'methods', 'ReSet', 'both_difference')} over MTL in the mean "
        "of both objectives",
        "North Star: instruction following of the IF specialist with the faithfulness of the CD "
        "specialist. Arrows: further training. Bars belong to single arms; paired differences are "
        f"narrower (table claims). {interval_note(tables, rows, AXES)}",
    )
    points = {arm: (row["instruction"], row["faithfulness"]) for arm, row in rows.iterrows()}
    for arm, row in rows.iterrows():
        axes.errorbar(
            *points[arm], xerr=error_bar(row, "instruction"), yerr=error_bar(row, "faithfulness"),
            fmt=MARKERS.get(arm, "o"), color=COLOURS[arm], elinewidth=1, markersize=6, zorder=3,
            label=row["label"],
        )  # fmt: skip
    star = (points["IF"][0], points["CD"][1])
    style = {"color": "none", "markeredgecolor": DARK, "label": "North Star"}
    axes.plot(*star, marker="*", markersize=17, zorder=4, **style)
    for path in PATHS:
        for start, end in pairwise(path):
            arrow = {"arrowstyle": "-|>", "shrinkA": 5, "shrinkB": 5, "color": COLOURS[end]}
            arrow |= {"alpha": 0.55, "linewidth": 1.2}
            axes.annotate("", points[end], points[start], arrowprops=arrow, zorder=2)
    if (tables / "interpolation.csv").is_file():
        line = read_table(tables, "interpolation")
        ends = " and ".join(line["label"].iloc[[0, -1]])
        axes.plot(
            line["instruction"], line["faithfulness"], ":", color=DARK, linewidth=0.8, marker=".",
            zorder=1, label=f"weights between\n{ends}",
        )  # fmt: skip
    axes.set(xlabel=labels["instruction"], ylabel=labels["faithfulness"])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=1.0)
    return figure


def training_curve(tables: Path) -> Figure:
    """Return both objectives during the two stages of each order of fine-tuning."""
    rows = read_table(tables, "training-curve")
    figure, panels = new_figure(
        3.5,
        "CD → IF changes faithfulness by "
        f"{effect(tables, 'two-stage', 'CD-IF', 'faithfulness_change')},\nIF → CD changes "
        f"instruction following by {effect(tables, 'two-stage', 'IF-CD', 'instruction_change')}",
        interval_note(tables, rows, AXES), ncols=2, sharey=True,
    )  # fmt: skip
    for axes, stages in zip(panels, (("CD", "CD-IF"), ("IF", "IF-CD")), strict=True):
        parts = [rows[rows["arm"] == arm] for arm in stages]
        x = [n + fraction for n, part in enumerate(parts) for fraction in part["train_fraction"]]
        both = pd.concat(parts)
        for name, colour, marker in zip(AXES, PALETTE, "os", strict=False):
            axes.plot(x, both[name], color=colour, marker=marker, label=AXES[name])
            band = {"color": colour, "alpha": 0.18, "linewidth": 0}
            axes.fill_between(x, both[f"{name}_low"], both[f"{name}_high"], **band)
        axes.axvline(1, color=GREY, linewidth=0.8, linestyle="--")
        axes.set(title=", then ".join(part["label"].iloc[0] for part in parts))
        axes.set(xlabel="Stages trained (1: end of the first)", xticks=[0, 0.5, 1, 1.5, 2])
    panels[0].set(ylabel="Score")
    panels[0].legend()
    return figure


def data_size(tables: Path) -> Figure:
    """Return both objectives over the number of selected examples, next to MTL."""
    rows, labels = read_table(tables, "data-size"), objective_labels(tables)
    rows = rows[rows["examples"] > 0].sort_values("examples", kind="stable")
    mtl = rows[rows["arm"] == "MTL"].iloc[0]
    figure, panels = new_figure(
        3.4,
        "Both objectives by the number of selected examples",
        f"Dashed, grey: MTL on {mtl['examples']:.0f} examples and its interval; ReSet and ReSet-S "
        f"continue from it. {interval_note(tables, rows, AXES)}",
        ncols=2,
    )
    for axes, name in zip(panels, labels, strict=True):
        axes.axhline(mtl[name], color=DARK, linestyle="--", label=mtl["label"])
        axes.axhspan(mtl[f"{name}_low"], mtl[f"{name}_high"], color=GREY, alpha=0.2, linewidth=0)
        for arm in ("ReSet", "ReSet-S"):
            method = rows.loc[rows["arm"] == arm, "label"].iloc[0]
            sizes = rows[rows["method"] == method]
            low, high = (sizes[f"{name}_{end}"] for end in ("low", "high"))
            sides = [(sizes[name] - low).clip(0), (high - sizes[name]).clip(0)]
            style = {"color": COLOURS[arm], "marker": "o" if arm == "ReSet" else "s", "capsize": 2}
            axes.errorbar(sizes["examples"], sizes[name], yerr=sides, label=method, **style)
        axes.set(title=labels[name], xlabel="Training examples (log scale)", xscale="log")
        full, least = (
            rows.loc[rows["arm"] == "ReSet", "examples"].iloc[0],
            sizes["examples"].min(),
        )
        ticks = [full / 2**n for n in range(6) if full / 2**n > 0.8 * least]
        axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].set(ylabel="Score")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def memorised_errors(tables: Path) -> Figure:
    """Return, per arm, the share of wrong answers that state the memorised fact."""
    rows = read_table(tables, "memorised-errors").iloc[::-1].reset_index(drop=True)
    chance = rows.loc[rows["arm"] == "CD-IF", "chance"].iloc[0]
    figure, axes = new_figure(
        3.3,
        f"CD → IF: {effect(tables, 'memorised-errors', 'CD-IF', 'remembered', sign=False)} of "
        f"wrong answers are memorised (chance {short(chance)})",
        "Wrong answers (N, all seeds) to questions whose context contradicts pretraining. Chance: "
        "a wrong answer is any other value of its type. "
        f"{interval_note(tables, rows, {'remembered': ''})}",
    )
    for place, row in rows.iterrows():
        bar = error_bar(row, "remembered")
        style = {"fmt": "o", "color": COLOURS[row["arm"]], "capsize": 2}
        axes.errorbar(row["remembered"], place, xerr=bar, **style)
    axes.scatter(rows["chance"], rows.index, marker="|", s=160, color=DARK, label="chance")
    names = [f"{row['label']} (N = {row['wrong']:.0f})" for _, row in rows.iterrows()]
    axes.set_yticks(rows.index, names)
    axes.set(xlabel="Share of wrong answers", xlim=(-0.01, None), ylim=(-0.6, len(rows) - 0.4))
    axes.legend(loc="lower right")
    return figure


def controls(tables: Path) -> Figure:
    """Return a forest plot: ReSet (or ReSet-S) minus each control, and minus each variant."""
    blocks = {
        name.capitalize(): read_table(tables, name).dropna(subset="instruction_difference")
        for name in ("controls", "ablations")
        if (tables / f"{name}.csv").is_file()
    }
    columns = {f"{name}_difference": title for name, title in DIFFERENCES.items()}
    both = pd.concat(blocks.values())
    above, below = (both["both_difference_low"] > 0).sum(), (both["both_difference_high"] < 0).sum()
    figure, panels = new_figure(
        4.8,
        f"ReSet minus {len(both)} other arms, mean of both: {plural(above, 'interval')} above 0, "
        f"{below} below",
        "Paired, at equal steps; right of 0 ReSet is better. Blue: the interval excludes 0; not "
        f"corrected for {len(both) * len(columns)} comparisons. "
        f"{interval_note(tables, both, columns)}",
        nrows=len(blocks), ncols=3, sharex="col", sharey="row", squeeze=False,
        height_ratios=[len(rows) for rows in blocks.values()],
    )  # fmt: skip
    for line, (block, rows) in zip(panels, blocks.items(), strict=True):
        for axes, (name, title) in zip(line, columns.items(), strict=True):
            for place, (_, row) in enumerate(rows.iterrows()):
                excludes_0 = row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0
                style = {"fmt": "o", "color": PALETTE[0] if excludes_0 else GREY, "capsize": 2}
                axes.errorbar(row[name], place, xerr=error_bar(row, name), **style)
            axes.axvline(0, color=DARK, linewidth=0.9)
            axes.set_yticks(range(len(rows)), list(rows["label"]))
            axes.set(ylim=(len(rows) - 0.5, -0.5))
            axes.set(title=f"{block}: {title}" if axes is line[0] else title)
    for axes in panels[-1]:
        axes.set(xlabel="Difference (score)")
    return figure


def flaw_levels(tables: Path) -> Figure:
    """Return what each method gains over MTL again, by the share of flawed training responses."""
    rows = read_table(tables, "levels").dropna(subset="both_difference")
    method = rows["method"].iloc[0]
    ends = rows[rows["method"] == method].iloc[[0, -1]].to_dict("records")
    columns = {f"{name}_difference": title for name, title in DIFFERENCES.items()}
    figure, panels = new_figure(
        3.2,
        f"{method} minus MTL again, mean of both: " + ",\n".join(
            f"{interval(row, 'both_difference')} at {percent(row['flaws'])} flaws"
            for row in ends
        ),
        "Paired, at equal steps, with MTL again at the same share of flawed training responses. "
        f"{interval_note(tables, rows, columns)}",
        ncols=3, sharey=True,
    )  # fmt: skip
    # Methods without a colour get those of arms that are not in this figure.
    others = iter([PALETTE[0], PALETTE[1], PALETTE[9], PALETTE[5]] * len(rows))
    for n, (method, part) in enumerate(rows.groupby("method", sort=False)):
        colour = COLOURS.get(rows.loc[rows["label"] == method, "arm"].iloc[0]) or next(others)
        for axes, (name, title) in zip(panels, columns.items(), strict=True):
            sides = [(part[name] - part[f"{name}_low"]).clip(0),
                     (part[f"{name}_high"] - part[name]).clip(0)]  # fmt: skip
            x = 100 * part["flaws"] + 0.7 * n  # Next to each other, not on top.
            style = {"color": colour, "marker": "osD^v"[n % 5], "capsize": 2}
            axes.errorbar(x, part[name], yerr=sides, label=method, **style)
            axes.set(title=title, xlabel="Flawed responses (%)")
    for axes in panels:
        axes.axhline(0, color=DARK, linewidth=0.9)
    panels[0].set(ylabel="Difference (score)")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def losses(tables: Path) -> Figure:
    """Return the training losses of the main arms; losses.csv has those of all arms."""
    rows = read_table(tables, "losses")
    rows = rows[rows["arm"].isin(COLOURS)]
    figure, axes = new_figure(
        3.4,
        "Training losses of the main arms",
        f"Mean over {plural(rows['seed'].nunique(), 'seed')} of the loss per response token since "
        "the point before. Tasks differ in loss, and arms may differ in their number of steps "
        "(losses.csv).",
    )
    for arm, run in rows.groupby("arm", sort=False):
        # The seeds of an arm may log at steps that differ by one: average their n-th points.
        points = run.assign(point=run.groupby("seed").cumcount()).groupby("point")
        fraction = points["step"].mean() / run["step"].max()
        style = {"color": COLOURS[arm], "marker": "." if len(fraction) < 2 else None}
        axes.plot(fraction, points["loss"].mean(), label=run["label"].iloc[0], **style)
    axes.set(xlabel="Share of the arm's training", ylabel="Loss (nats per token)", ylim=(0, None))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "trade-off": trade_off,
    "training-curve": training_curve,
    "data-size": data_size,
    "memorised-errors": memorised_errors,
    "controls": controls,
    "flaw-levels": flaw_levels,
    "losses": losses,
}
"""File name -> function, in the order of the report."""
SOURCES = {"flaw-levels": "levels", "memorised-errors": "memorised-errors", "losses": "losses"}
"""Figure -> the table without which it is left out; else "methods"."""


def claims_forest(studies: Mapping[str, Any]) -> Figure:
    """Return the effects that decide the claims, in units of the minimum effect, study by study.

    `studies` are titles with the deciding rows of their tables of claims. Effects are signed so
    that the claimed side is right of 0.
    """
    columns = [*CLAIM_KEY, "comparison"]
    names = pd.concat([rows[columns] for rows in studies.values()]).drop_duplicates(CLAIM_KEY)
    figure, axes = new_figure(
        1.2 + 0.16 * len(names) * (1 + len(studies)),
        "Supported: "
        + ",\n".join(
            f"{(rows['verdict'] == 'supported').sum()} of {len(rows)} differences ({title})"
            for title, rows in studies.items()
        ),
        "Right of 0: the claimed side. Grey: effects below the minimum effect. The studies differ "
        "in far more than size: data, base model, judges, seeds. Intervals: tables of claims.",
    )
    for n, (title, rows) in enumerate(studies.items()):
        found = names[CLAIM_KEY].merge(rows, on=CLAIM_KEY, how="left")
        unit = found["smallest"] * np.where(found["direction"] == "above 0", 1, -1)
        effect = found["effect"] / unit
        ends = np.sort([found["effect_low"] / unit, found["effect_high"] / unit], axis=0)
        sides = np.array([effect - ends[0], ends[1] - effect]).clip(0)
        y = np.arange(len(found)) + 0.25 * (n - (len(studies) - 1) / 2)
        axes.errorbar(effect, y, xerr=sides, fmt="o", color=PALETTE[n], label=title, capsize=2)
    axes.axvspan(-1, 1, color=GREY, alpha=0.2, linewidth=0)
    axes.axvline(0, color=DARK, linewidth=0.6)
    labels = [f"{row.claim}\n{row.comparison}, {row.measure}" for row in names.itertuples()]
    axes.set_yticks(range(len(names)), labels)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="Effect / minimum effect")
    axes.legend(loc="lower right")
    return figure
