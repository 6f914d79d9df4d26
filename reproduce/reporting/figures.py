"""The figures of the study, drawn from the committed tables only.

Every function returns a matplotlib figure and takes the folder of tables, `ladder` the claims of
several studies.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reproduce.reporting.plotting import (
    COLOURS,
    DARK,
    GREY,
    PALETTE,
    Boxes,
    bars,
    confidence,
    display_boxes,
    faith_axis,
    if_axis,
    interval_note,
    looks,
    loss_line,
    new_figure,
    place_labels,
    read_table,
    save,
)
from reproduce.utils.files import UnusableFile, replacing
from reproduce.utils.formatting import plural

PATHS = (
    ("base", "CD", "CD-IF"), ("base", "IF", "IF-CD"), ("base", "MTL", "ReSet"), ("MTL", "ReSet-S"),
)  # fmt: skip
OBJECTIVES = {"instruction": "IF", "faithfulness": "Faithfulness", "task": "Task"}
AXES = {"instruction": "instruction following", "faithfulness": "faithfulness"}


def make_figures(tables: Path, target: Path) -> None:
    """Write every figure as PNG and PDF to the folder `target`, in place of what was there.

    There is none of the mechanism where the study has no table of it, for real text.
    """
    with replacing(target) as draft:
        draft.mkdir()
        for name, draw in FIGURES.items():
            if draw is not mechanism or (tables / "mechanism.csv").is_file():
                save(draw(tables), draft / name)


def trade_off(tables: Path) -> Figure:
    """Return the plane of the two objectives with the main arms and the ways between them."""
    rows = read_table(tables, "methods").set_index("arm")
    note = interval_note(tables, rows, AXES)
    star = (rows.loc["IF", "instruction"], rows.loc["CD", "faithfulness"])
    figure, axes = new_figure(
        5.2,
        "The main arms on the plane of the two objectives",
        "Star (“North Star”): instruction following of the IF specialist with the faithfulness of "
        "the CD specialist. Arrows: further training. Bars are of each arm alone; differences are "
        f"paired and narrower (table of claims). {note}",
    )
    axes.set(xlabel=if_axis(tables), ylabel=faith_axis(tables))
    for arm, row in rows.iterrows():
        _cross(axes, row, COLOURS[arm])
    axes.plot(*star, marker="*", markersize=17, color="none", markeredgecolor=DARK, zorder=4)
    axes.margins(0.12)
    for path in PATHS:
        for start, end in pairwise(path):
            _arrow(axes, rows.loc[start], rows.loc[end], COLOURS[end])
    figure.draw_without_rendering()
    place_labels(axes, [*_labels(rows), (*star, "North Star", DARK)], _obstacles(axes, rows, star))
    return figure


def ladder(studies: Sequence[tuple[str, Sequence[Mapping[str, str]]]], note: str = "") -> Figure:
    """Return the effect that decides each claim in every study, the smallest model first.

    `studies` are titles with the deciding rows of their tables of claims; effects too small to
    count lie in a grey band. `note` is what is said of n and intervals. Raises UnusableFile where a
    study has other claims than the first.
    """
    rows = studies[0][1]
    figure, panels = new_figure(
        1.1 + 0.32 * len(rows) * len(studies),
        "The effect that decides each claim, in every study",
        "Grey band: effects too small to count. The arrow points to the claimed side. The studies "
        f"differ in far more than size: data, base model, judges, seeds. {note}",
        nrows=len(rows), sharex=True, squeeze=False,
    )  # fmt: skip
    for axes, row in zip(panels[:, 0], rows, strict=True):
        for place, (title, found) in enumerate(studies):
            _effect(axes, place, _same(row, found, title), PALETTE[place])
        side = "→" if row["direction"] == "above 0" else "←"
        small = float(row["smallest"])
        axes.axvspan(-small, small, color=GREY, alpha=0.2, linewidth=0)
        axes.axvline(0, color=DARK, linewidth=0.6)
        axes.set(title=f"{row['claim']} {side}   {row['comparison']}, {row['measure']}",
                 ylim=(len(studies) - 0.5, -0.5), yticks=range(len(studies)),
                 yticklabels=[title for title, _ in studies])  # fmt: skip
    panels[-1, 0].set(xlabel="Difference")
    return figure


def _same(
    row: Mapping[str, str], rows: Sequence[Mapping[str, str]], title: str
) -> Mapping[str, str]:
    keys = ("claim", "of", "minus", "measure")
    for found in rows:
        if all(found[key] == row[key] for key in keys):
            return found
    raise UnusableFile(
        f"{title}: its claims.csv lacks '{row['claim']}' ({row['comparison']}); run `dvc repro`"
    )


def _effect(axes: Axes, place: int, row: Mapping[str, str], colour: Any) -> None:
    if row["effect"]:
        numbers = {key: float(row[key]) for key in ("effect", "effect_low", "effect_high")}
        sides = bars(numbers, "effect")
        axes.errorbar(numbers["effect"], place, xerr=sides, fmt="o", color=colour)


def trajectories(tables: Path) -> Figure:
    """Return both objectives during the two stages of each pipeline."""
    rows = read_table(tables, "trajectory")
    note = interval_note(tables, rows, AXES)
    figure, panels = new_figure(
        3.1, "Scores during the two stages of fine-tuning", note, ncols=2, sharey=True
    )
    for axes, stages in zip(panels, (("CD", "CD-IF"), ("IF", "IF-CD")), strict=True):
        parts = [rows[rows["arm"] == arm] for arm in stages]
        joined = pd.concat([part.assign(x=part["progress"] + n) for n, part in enumerate(parts)])
        _band(axes, joined, "instruction", if_axis(tables), PALETTE[0], "o")
        _band(axes, joined, "faithfulness", faith_axis(tables), PALETTE[1], "s")
        axes.axvline(1, color=GREY, linewidth=0.8, linestyle="--")
        axes.set(title=" then ".join(part["label"].iloc[0] for part in parts))
        axes.set(xlabel="Stages trained (1 = end of the first)", xticks=[0, 0.5, 1, 1.5, 2])
    panels[0].set(ylabel="Score")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def data_size(tables: Path) -> Figure:
    """Return both objectives by the number of training examples, with MTL as a line."""
    rows = read_table(tables, "data-size")
    rows = rows[rows["examples"] > 0]
    mtl = rows[rows["arm"] == "MTL"].iloc[0]
    note = interval_note(tables, rows, AXES)
    figure, panels = new_figure(
        3.2,
        "Scores by the amount of selected data",
        f"Dashed: MTL, tuned on {mtl['examples']:.0f} examples, from which ReSet and ReSet-S go "
        f"on; grey: its interval. {note}",
        ncols=2,
    )
    labels = {"instruction": if_axis(tables), "faithfulness": faith_axis(tables)}
    for axes, (name, label) in zip(panels, labels.items(), strict=True):
        axes.axhline(mtl[name], color=DARK, linestyle="--", label=mtl["label"])
        axes.axhspan(mtl[f"{name}_low"], mtl[f"{name}_high"], color=GREY, alpha=0.2, linewidth=0)
        for arm, marker in (("ReSet", "o"), ("ReSet-S", "s")):
            method = rows.loc[rows["arm"] == arm, "label"].iloc[0]
            _sizes(axes, rows[rows["method"] == method], name, COLOURS[arm], marker)
        axes.set(title=label, xlabel="Training examples (log scale)")
        _log_ticks(axes, sorted(set(rows.loc[rows["method"] != mtl["method"], "examples"])))
    panels[0].set(ylabel="Score")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def rewards(tables: Path) -> Figure:
    """Return the distribution of the reward, all considered candidates against the kept ones."""
    rows = read_table(tables, "reward-distribution")
    methods, sides = list(rows["label"].unique()), sorted(rows["side"].unique())
    seen = rows[rows["count"] > 0]
    figure, panels = new_figure(
        4.2,
        "What the judges' choice does to the reward",
        "Grey: all candidates that the method chooses from; green: those it keeps. By the side of "
        "the prompt; seeds together.",
        nrows=len(methods),
        ncols=len(sides),
        sharex=True,
        squeeze=False,
    )
    for line, method in zip(panels, methods, strict=True):
        for axes, side in zip(line, sides, strict=True):
            part = rows[(rows["label"] == method) & (rows["side"] == side)]
            every, kept = (part[part["group"] == group] for group in ("considered", "kept"))
            _stairs(axes, every, "all", GREY, True)
            _stairs(axes, kept, "kept", PALETTE[2], False)
            counts = f"{kept['count'].sum()} of {every['count'].sum()} kept"
            axes.set(title=f"{method}, {side} prompts: {counts}", xlim=(seen["low"].min(), 1))
        line[0].set(ylabel="Share of candidates")
    for axes in panels[-1]:
        axes.set(xlabel="Reward (weighted mean of the judges)")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def mechanism(tables: Path) -> Figure:
    """Return, by arm, the share of wrong answers that states the remembered fact."""
    rows = read_table(tables, "mechanism").iloc[::-1].reset_index(drop=True)
    note = interval_note(tables, rows, {"remembered": ""})
    figure, axes = new_figure(
        3.3,
        "How many wrong answers state what the model remembers?",
        "Wrong answers (N, all seeds together) to questions whose context contradicts pretraining. "
        f"Chance: if a wrong answer were any one of the other values of its kind. {note}",
    )
    axes.set(xlabel="Share of wrong answers that is the remembered fact")
    for place, row in rows.iterrows():
        colour = COLOURS[row["arm"]]
        axes.errorbar(
            row["remembered"], place, xerr=bars(row, "remembered"), fmt="o", color=colour, capsize=2
        )
    axes.scatter(rows["chance"], rows.index, marker="|", s=160, color=DARK, label="chance")
    axes.set_yticks(
        rows.index, [f"{r['label']} (N = {r['wrong']:.0f})" for _, r in rows.iterrows()]
    )
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlim=(-0.01, None))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right")
    return figure


def controls(tables: Path) -> Figure:
    """Return a forest plot: ReSet (or ReSet-S) minus each control, and minus each variant."""
    first, second = (_compared(read_table(tables, name)) for name in ("controls", "drivers"))
    blocks = {"Controls": first, "Variants of ReSet": second}
    both = pd.concat(blocks.values())
    shown = {f"{name}_difference": title for name, title in OBJECTIVES.items()}
    by_chance = round(len(both) * len(shown) * (1 - confidence(tables)))
    note = interval_note(tables, both, shown)
    figure, panels = new_figure(
        5.0,
        "ReSet against its controls and against its variants",
        "Paired; right of 0 the method is better. Above: the method minus its control, where the "
        "method is ReSet-S for (S), ReSet in full tuning for full tuning, else ReSet. Below: ReSet "
        f"minus its variant. Blue: the interval excludes 0, as about {by_chance} of these "
        f"{len(both) * len(shown)} would by chance if nothing differed. {note}",
        nrows=2,
        ncols=3,
        sharex="col",
        sharey="row",
        height_ratios=[len(first), len(second)],
    )
    for line, (title, rows) in zip(panels, blocks.items(), strict=True):
        for axes, (name, heading) in zip(line, OBJECTIVES.items(), strict=True):
            _forest(axes, rows, f"{name}_difference")
            axes.set(title=f"{title}: {heading}" if axes is line[0] else heading)
    for axes in panels[-1]:
        axes.set(xlabel="Difference (score)")
    return figure


def losses(tables: Path) -> Figure:
    """Return the training losses, a panel an experiment, a line an arm."""
    rows = read_table(tables, "losses")
    experiments = list(rows["experiment"].unique())
    seeds = rows["seed"].nunique()
    figure, panels = new_figure(
        0.5 + 1.6 * len(experiments),
        "Training losses",
        f"Mean over {plural(seeds, 'seed')} of the loss a response token; a point is the mean of "
        "the steps since the last. Batches hold rows of like length, so often of one task, and "
        "tasks differ in loss. Arms differ in their number of steps (losses.csv).",
        nrows=len(experiments),
    )
    for axes, name in zip(panels if len(experiments) > 1 else [panels], experiments, strict=True):
        part = rows[rows["experiment"] == name]
        shown = [COLOURS[arm] for arm in part["arm"].unique() if arm in COLOURS]
        free = [colour for colour in PALETTE if colour not in shown]
        lines = part.groupby("arm", sort=False)
        for (arm, run), (colour, style) in zip(lines, looks(free), strict=False):
            loss_line(axes, run, COLOURS.get(arm, colour), style)
        axes.set(title=name, ylabel="Loss (nats)", ylim=(0, None))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.2)
    axes.set(xlabel="Share of the arm's training")
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "trade-off": trade_off,
    "trajectories": trajectories,
    "data-size": data_size,
    "rewards": rewards,
    "mechanism": mechanism,
    "controls": controls,
    "losses": losses,
}
"""File name -> function, in the order of the report."""


def _cross(axes: Axes, row: Any, colour: Any) -> None:
    axes.errorbar(
        row["instruction"], row["faithfulness"], xerr=bars(row, "instruction"),
        yerr=bars(row, "faithfulness"), fmt="o", color=colour, elinewidth=1, markersize=6, zorder=3,
    )  # fmt: skip


def _arrow(axes: Axes, start: Any, end: Any, colour: Any) -> None:
    tail, head = ((row["instruction"], row["faithfulness"]) for row in (start, end))
    shape = {"arrowstyle": "-|>", "shrinkA": 5, "shrinkB": 5}
    look = {"color": colour, "alpha": 0.55, "linewidth": 1.2}
    axes.annotate("", head, tail, arrowprops={**shape, **look}, zorder=2)


def _labels(rows: Any) -> list[tuple[float, float, str, Any]]:
    return [
        (row["instruction"], row["faithfulness"], row["label"], COLOURS[arm])
        for arm, row in rows.iterrows()
    ]


def _obstacles(axes: Axes, rows: Any, star: tuple[float, float]) -> Boxes:
    lines = [(star, star)]
    for _, row in rows.iterrows():
        x, y = row["instruction"], row["faithfulness"]
        lines.append(((row["instruction_low"], y), (row["instruction_high"], y)))
        lines.append(((x, row["faithfulness_low"]), (x, row["faithfulness_high"])))
    for path in PATHS:
        points = [(rows.loc[arm, "instruction"], rows.loc[arm, "faithfulness"]) for arm in path]
        lines += pairwise(points)
    return display_boxes(axes, lines)


def _band(axes: Axes, rows: Any, name: str, label: str, colour: Any, marker: str) -> None:
    axes.plot(rows["x"], rows[name], color=colour, marker=marker, label=label)
    axes.fill_between(
        rows["x"], rows[f"{name}_low"], rows[f"{name}_high"], color=colour, alpha=0.18, linewidth=0
    )


def _sizes(axes: Axes, rows: Any, name: str, colour: Any, marker: str) -> None:
    rows = rows.sort_values("examples", kind="stable")
    below, above = rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]
    axes.errorbar(
        rows["examples"], rows[name], yerr=[below.clip(lower=0), above.clip(lower=0)],
        color=colour, marker=marker, capsize=2, label=rows["method"].iloc[0],
    )  # fmt: skip


def _log_ticks(axes: Axes, sizes: list[float]) -> None:
    axes.set_xscale("log", base=2)
    kept = sizes[:1]
    for size in sizes[1:]:
        kept += [size] if size > 1.15 * kept[-1] else []
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params("x", rotation=45)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:.0f}"))


def _stairs(axes: Axes, rows: Any, label: str, colour: Any, filled: bool) -> None:
    edges = [*rows["low"], rows["high"].iloc[-1]]
    axes.stairs(
        rows["share"], edges, fill=filled, color=colour, alpha=0.5 if filled else 1.0,
        linewidth=0 if filled else 1.6, label=label,
    )  # fmt: skip


def _compared(rows: Any) -> Any:
    return rows[rows["instruction_difference"].notna()].copy()


def _forest(axes: Axes, rows: Any, name: str) -> None:
    for place, (_, row) in enumerate(rows.iterrows()):
        beyond = row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0
        colour = PALETTE[0] if beyond else GREY
        axes.errorbar(row[name], place, xerr=bars(row, name), fmt="o", color=colour, capsize=2)
    axes.axvline(0, color=DARK, linewidth=0.9)
    axes.set_yticks(range(len(rows)), list(rows["label"]))
    axes.set_ylim(len(rows) - 0.5, -0.5)
