"""The figures of the study, drawn from its tables alone.

Each function takes the folder of tables and returns a matplotlib figure, whose label is its note.
"""

import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, NullLocator

from reproduce.evaluation.claims import primary_claims
from reproduce.evaluation.formatting import interval, percent, plural, short
from reproduce.judges.task import contains_answer
from reproduce.reporting.plotting import (
    COLOURS,
    DARK,
    GREY,
    MARKERS,
    PALETTE,
    VERDICTS,
    effect,
    error_bars,
    interval_note,
    new_figure,
    objective_labels,
    read_table,
    save,
)
from reproduce.utils.files import atomic_dir, write_text

PATHS = (
    ("base", "CD", "CD-IF"), ("base", "IF", "IF-CD"), ("base", "MTL", "ReSet"), ("MTL", "ReSet-S"),
    ("MTL", "MTL-again"),
)  # fmt: skip
"""Arms that continue each other's training: the arrows of the trade-off."""

DIFFERENCES = {"instruction": "IF", "faithfulness": "Faithfulness", "both": "Mean of both"}
AXES = {"instruction": "instruction following", "faithfulness": "faithfulness"}


def make_figures(tables: Path, target: Path) -> None:
    """Write every figure as PNG and PDF to the folder `target`, in place of what was there.

    README.md shows them with their notes. A figure whose table the study lacks is left out: of
    memorised errors on real text, say.
    """
    pages = ["# Figures", "`reproduce figures` draws them from the tables."]
    with atomic_dir(target) as draft:
        for name, draw in FIGURES.items():
            sources = SOURCES.get(name, ["methods"])
            if all((tables / f"{source}.csv").is_file() for source in sources):
                figure = draw(tables)
                save(figure, draft / name)
                pages += [f"## {name}", f"![{name}]({name}.png)", str(figure.get_label())]
        write_text(draft / "README.md", "\n\n".join(pages) + "\n")


def trade_off(tables: Path) -> Figure:
    """Return the plane of both objectives with the main arms, and arrows for further training."""
    rows, labels = read_table(tables, "methods").set_index("arm"), objective_labels(tables)
    figure, axes = new_figure(
        4.0,
        f"ReSet gains {effect(tables, 'methods', 'ReSet', 'both_difference')} over MTL in the mean "
        "of both objectives",
        "North Star: instruction following of the IF specialist with the faithfulness of the CD "
        "specialist. Arrows: further training. Bars belong to single arms; paired differences are "
        "narrower (table claims). Shaded: a response that needs no model follows as many "
        f"instructions (table trivial). {interval_note(tables, rows, AXES)}",
    )
    points = {arm: (row["instruction"], row["faithfulness"]) for arm, row in rows.iterrows()}
    for arm, row in rows.iterrows():
        axes.errorbar(
            *points[arm], xerr=error_bars(row, "instruction"), yerr=error_bars(row, "faithfulness"),
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
    best_trivial = read_table(tables, "trivial").dropna(subset="instruction")
    best_trivial = best_trivial[~best_trivial["response"].str.endswith("relative")]
    axes.axvspan(0, best_trivial["instruction"].max(), color=GREY, alpha=0.15, linewidth=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=1.0)
    return figure


def training_curve(tables: Path) -> Figure:
    """Return both objectives during the two stages of each order of fine-tuning."""
    rows = read_table(tables, "training-curve")
    figure, panels = new_figure(
        3.5,
        "CD → IF changes faithfulness by "
        f"{effect(tables, 'two-stage', 'CD-IF', 'faithfulness_change')}, IF → CD changes "
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
    panels[0].set(ylabel="Score", ylim=(0, 1))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    return figure


def data_size(tables: Path) -> Figure:
    """Return both objectives over the number of selected examples, next to MTL."""
    rows, labels = read_table(tables, "data-size"), objective_labels(tables)
    rows = rows[rows["examples"] > 0].sort_values("examples", kind="stable")
    mtl = rows[rows["arm"] == "MTL"].iloc[0]
    least, full = rows.iloc[0], rows[rows["arm"] == "ReSet"].iloc[0]
    found = [f"{row['label']} on {row['examples']:.0f} examples {short(row['instruction'])} and "
             f"{short(row['faithfulness'])}" for row in (least, full)]  # fmt: skip
    figure, panels = new_figure(
        3.4,
        "Instruction following and faithfulness: " + ", ".join(found),
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
            sides = error_bars(sizes, name)
            style = {"color": COLOURS[arm], "marker": "o" if arm == "ReSet" else "s", "capsize": 2}
            axes.errorbar(sizes["examples"], sizes[name], yerr=sides, label=method, **style)
        axes.set(title=labels[name].replace(" (", "\n("), ylim=(0, 1))
        axes.set(xlabel="Training examples (log scale)", xscale="log")
        halves = [full["examples"] / 2**n for n in range(6)]
        ticks = [half for half in halves if half > 0.8 * least["examples"]]
        axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].set(ylabel="Score")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=3)
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
        bar = error_bars(row, "remembered")
        style = {"fmt": "o", "color": COLOURS[row["arm"]], "capsize": 2}
        axes.errorbar(row["remembered"], place, xerr=bar, **style)
    axes.scatter(rows["chance"], rows.index, marker="|", s=160, color=DARK, label="chance")
    names = [f"{row['label']} (N = {row['wrong']:.0f})" for _, row in rows.iterrows()]
    axes.set_yticks(rows.index, names)
    axes.set(xlabel="Share of wrong answers", xlim=(-0.01, None), ylim=(-0.6, len(rows) - 0.4))
    axes.legend(loc="upper right")
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
        1.3 + 0.32 * len(both),
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
                axes.errorbar(row[name], place, xerr=error_bars(row, name), **style)
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
        3.8,
        f"{method} minus MTL again, mean of both: " + ", ".join(
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
            sides = error_bars(part, name)
            x = 100 * part["flaws"] + 0.7 * n  # Next to each other, not on top.
            style = {"color": colour, "marker": "osD^v"[n % 5], "capsize": 2}
            axes.errorbar(x, part[name], yerr=sides, label=method, **style)
            axes.set(title=title)
    for axes in panels:
        axes.axhline(0, color=DARK, linewidth=0.9)
        axes.set_xticks(100 * rows["flaws"].unique())
    panels[0].set(ylabel="Difference (score)")
    panels[1].set(xlabel="Flawed training responses (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
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


def claims(tables: Path) -> Figure:
    """Return a scoreboard: the effect and verdict of each difference that decides a claim.

    Effects are in units of the minimum effect, signed so that the claimed side is right of 0.
    """
    rows, seeds = pd.DataFrame(primary_claims(tables)), read_table(tables, "seeds").set_index("arm")
    counts = rows["verdict"].value_counts()
    numbers = [name.split(":")[1] for name in seeds if name.startswith("task:")]
    figure, axes = new_figure(
        0.6 + 0.58 * len(rows),
        f"Verdicts on {plural(len(rows), 'comparison')}: "
        + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()),
        "Effect divided by the minimum effect, its sign turned so that right of 0 is the claimed "
        "side. Grey band: effects below the minimum. Bars: intervals (table claims); dots: single "
        "seeds. Between -1 and 1 the axis is linear, beyond it is logarithmic.",
    )
    for place, row in rows.iterrows():
        unit = float(row["smallest"]) * (1 if row["direction"] == "above 0" else -1)
        effect, low, high = (float(row[f"effect{end}"]) / unit for end in ("", "_low", "_high"))
        columns = list(AXES) if row["measure"].startswith("Mean") else [
            "instruction" if row["measure"].startswith("I") else "faithfulness"]  # fmt: skip
        for seed in numbers:
            parts = [seeds.loc[row["of"], f"{c}:{seed}"] - seeds.loc[row["minus"], f"{c}:{seed}"]
                     for c in columns]  # fmt: skip
            axes.plot(np.mean(parts) / unit, place + 0.2, ".", color=GREY, markersize=4)
        colour = VERDICTS.get(row["verdict"], GREY)
        ends = [[effect - min(low, high)], [max(low, high) - effect]]
        axes.errorbar(effect, place, xerr=ends, fmt="o", color=colour, capsize=2)
        style = {"va": "center", "weight": "bold", "fontsize": 8.5}
        text = f"{interval(row, 'effect')}\n{row['verdict']}"
        beside = ("axes fraction", "data")
        axes.annotate(text, (1.02, place + 0.1), xycoords=beside, color=colour, **style)
        above = ("figure fraction", "data")
        label = axes.annotate(row["claim"], (0.01, place - 0.42), xycoords=above, **style)
        label.set_in_layout(False)  # It may lie over the axes.
    axes.axvspan(-1, 1, color=GREY, alpha=0.2, linewidth=0)
    axes.axvline(0, color=DARK, linewidth=0.6)
    axes.set_xscale("symlog", linthresh=1, linscale=0.7)
    ticks = [-10, -1, 0, 1, 10]
    axes.set_xticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    labels = [f"{row.comparison}\n{row.measure.partition(' of ')[0]}" for row in rows.itertuples()]
    axes.set_yticks(range(len(rows)), labels)
    axes.set(ylim=(len(rows) - 0.4, -0.65), xlim=(-25, 25), xlabel="Effect / minimum effect")
    return figure


def sampling_or_filtering(tables: Path) -> Figure:
    """Return what references and samples gain over MTL again, filtered by the judges or not."""
    rows = read_table(tables, "controls").dropna(subset="gain").set_index("arm")
    found = [f"{rows['label'][arm]} {effect(tables, 'controls', arm, 'gain')}"
             for arm in ("ReSet", "filtered", "clean") if arm in rows.index]  # fmt: skip
    figure, axes = new_figure(
        3.0,
        f"Gain over MTL again: {', '.join(found)}",
        "Mean of instruction following and faithfulness, minus MTL again, paired, at equal steps. "
        f"{interval_note(tables, rows, {'gain': ''})}",
    )
    kinds = {"References": ("references", "filtered", "clean"), "Samples": ("random", "ReSet")}
    for n, (name, arms) in enumerate(kinds.items()):
        places = [place for place, arm in enumerate(arms) if arm in rows.index]
        line = rows.loc[[arms[place] for place in places]]
        sides = error_bars(line, "gain")
        style = {"color": PALETTE[n], "marker": "os"[n], "capsize": 2, "label": name}
        axes.errorbar([place + 0.06 * n for place in places], line["gain"], yerr=sides, **style)
    axes.axhline(0, color=DARK, linewidth=0.9)
    names = ["all references,\nor random samples",
             "accepted references,\nor the best samples",
             "references without flaws\n(positive control)"]  # fmt: skip
    axes.set_xticks(range(3), names)
    axes.set(ylabel="Gain over MTL again (score)", xlim=(-0.4, 2.4))
    axes.legend(loc="upper left")
    return figure


def answers(tables: Path) -> Figure:
    """Return the outcomes of questions per main arm, and each arm's answer to one of them."""
    rows = read_table(tables, "outcomes")
    rows = rows[rows["dataset"] == rows["dataset"].iloc[0]].reset_index(drop=True)
    said = read_table(tables, "generations").merge(read_table(tables, "prompts"), "left")
    said = said[said["seed"] == said["seed"].min()].fillna({"response": ""})
    said = said[said["dataset"] == rows["dataset"].iloc[0]]
    # As in the table of outcomes.
    pairs = zip(said["response"], said["reference"], strict=True)
    said["right"] = [contains_answer(response, [reference]) == 1 for response, reference in pairs]
    right = said.pivot(index="example", columns="arm", values="right")
    # The first question that CD answers and CD -> IF does not.
    lost = right.index[right["CD"] & ~right["CD-IF"]]
    shown = next((e for e in said["example"] if e in lost), said["example"].iloc[0])
    one = said[said["example"] == shown].set_index("arm")
    figure, axes = new_figure(
        3.8,
        "Questions answered from the passage: CD "
        f"{effect(tables, 'outcomes', 'CD', 'right', sign=False)}, after IF tuning "
        f"{effect(tables, 'outcomes', 'CD-IF', 'right', sign=False)}",
        f"Bars: share of the questions of {rows['dataset'].iloc[0]} whose answer is right, "
        "contradicts the passage, or does neither (table outcomes). Text: answers of the first "
        "seed to the first question that CD answers and CD → IF does not. "
        f"{interval_note(tables, rows, {'right': ''})}",
        ncols=2, sharey=True, width_ratios=(1, 1.25),
    )  # fmt: skip
    bars, texts = axes
    left = np.zeros(len(rows))
    kinds = {"right": PALETTE[2], "contradicted": PALETTE[3], "silent": "#d0d0d0"}
    for name, colour in kinds.items():
        label = "neither" if name == "silent" else name
        bars.barh(rows.index, rows[name], left=left, color=colour, height=0.7, label=label)
        left += rows[name]
    for place, arm in enumerate(rows["arm"]):
        is_right = right[arm][shown]
        text = f"{'✓' if is_right else '✗'} {one['response'][arm]}"
        text = textwrap.shorten(text, 48, placeholder=" …")
        colour = kinds["right" if is_right else "contradicted"]
        texts.text(0, place, text, va="center", color=colour)
    prompt = "\n".join(textwrap.wrap(" ".join(one[["passage", "question"]].iloc[0]), 48))
    texts.set_title(prompt, fontsize=8, style="italic")
    texts.axis("off")
    bars.set_yticks(rows.index, rows["label"])
    bars.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="Share of questions")
    figure.legend(*bars.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


def reset_example(tables: Path) -> Figure:
    """Return ReSet in one picture: a prompt, its candidates with their scores, and the choice."""
    rows = read_table(tables, "reset-example").fillna("–")
    reference, candidates = rows.iloc[0], rows.iloc[1:]
    figure, axes = new_figure(
        4.4,
        "ReSet: sample, judge, keep the best, fine-tune",
        "The first training prompt with a passage and instructions whose reference response states "
        "a fact of pretraining instead of the passage's. Candidates are those of ReSet, first "
        "seed. Reward: mean of the three scores.",
    )
    axes.set(xlim=(0, 103), ylim=(0, 100))
    axes.axis("off")

    def box(x: float, y: float, width: float, height: float, colour: str) -> None:
        shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.6", edgecolor=colour)
        axes.add_patch(shape).set_facecolor("none")

    def write(x: float, y: float, text: str, characters: int, **style: Any) -> None:
        lines = [
            line for part in text.split("\n") for line in textwrap.wrap(part, characters) or [""]
        ]
        axes.text(x, y, "\n".join(lines), va="top", **{"fontsize": 8, **style})

    box(1, 3, 30, 94, GREY)
    write(2, 96, "1  A training prompt", 40, weight="bold")
    write(2, 89, str(reference["prompt"]).replace("\n", "\n\n"), 27)
    write(2, 35, "Its reference response,\nflawed", 40, weight="bold", color=PALETTE[3])
    write(2, 25, str(reference["response"]), 27, color=PALETTE[3])
    write(36, 96, "2  The MTL model samples", 40, weight="bold")
    write(76, 96, "3  Judges score", 40, weight="bold")
    columns = {"task": 78, "faithfulness": 85.5, "instruction": 92.5, "reward": 99}
    for name, x in columns.items():
        title = {"faithfulness": "faithful", "instruction": "IF"}.get(name, name)
        axes.text(x, 85, title, ha="center", fontsize=7.5, color=DARK)
    step = 60 / len(candidates)
    for n, (_, row) in enumerate(candidates.iterrows()):
        y, is_best = 80 - step * n, row["selected"] == 1
        style = {"weight": "bold", "color": PALETTE[2]} if is_best else {"color": DARK}
        write(36, y, str(row["response"]), 37, color=style["color"])
        for name, x in columns.items():
            axes.text(x, y, f"{row[name]:.2f}", ha="center", va="top", fontsize=8, **style)
        if is_best:
            box(35.5, y - step + 2, 66.5, step - 1, PALETTE[2])
    axes.annotate("", (35, 55), (32, 55), arrowprops={"arrowstyle": "-|>", "color": DARK})
    write(36, 13, "4  Keep the best candidate of each prompt", 70, weight="bold")
    write(36, 6, "5  Fine-tune the MTL model on what was kept", 70, weight="bold")
    return figure


def best_of(tables: Path) -> Figure:
    """Return the best reward of N candidates, without training, and what training on it gains."""
    rows, sizes = read_table(tables, "best-of"), read_table(tables, "data-size")
    first = rows[rows["arm"] == "MTL"].set_index("candidates")["reward"]
    figure, (left, right) = new_figure(
        2.8,
        f"Best of {first.index[-1]} candidates instead of 1: reward {short(first.iloc[0])} to "
        f"{short(first.iloc[-1])}",
        "Left: mean over training prompts and seeds, without training. Right: mean of both "
        "objectives minus MTL again, after training on the best candidates, at equal steps. "
        f"{interval_note(tables, sizes, {'gain': ''})}",
        ncols=2,
    )  # fmt: skip
    for n, (_, part) in enumerate(rows.groupby("arm", sort=False)):
        style = {"color": PALETTE[n], "marker": "osD^v"[n % 5], "label": part["label"].iloc[0]}
        left.plot(part["candidates"], part["reward"], **style)
    left.set(xlabel="Candidates per prompt", ylabel="Best reward", xscale="log", ylim=(0.5, 1))
    left.set_xticks(first.index, [str(n) for n in first.index])
    left.xaxis.set_minor_locator(NullLocator())
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    sizes = sizes.dropna(subset="gain").reset_index(drop=True)
    for place, row in sizes.iterrows():
        style = {"fmt": "o", "color": COLOURS.get(row["arm"], DARK), "capsize": 2}
        right.errorbar(row["gain"], place, xerr=error_bars(row, "gain"), **style)
    right.axvline(0, color=DARK, linewidth=0.9)
    right.set_yticks(sizes.index, sizes["label"])
    right.xaxis.set_major_locator(MaxNLocator(4))
    right.set(xlabel="Gain over MTL again (score)", ylim=(len(sizes) - 0.5, -0.5))
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "claims": claims,
    "reset": reset_example,
    "trade-off": trade_off,
    "answers": answers,
    "training-curve": training_curve,
    "sampling-or-filtering": sampling_or_filtering,
    "best-of": best_of,
    "data-size": data_size,
    "memorised-errors": memorised_errors,
    "controls": controls,
    "flaw-levels": flaw_levels,
    "losses": losses,
}
"""File name -> function, in the order of the report."""
SOURCES = {
    "reset": ["reset-example"], "answers": ["outcomes", "prompts"],
    "best-of": ["best-of", "data-size"], "flaw-levels": ["levels"],
    "memorised-errors": ["memorised-errors"], "losses": ["losses"],
}  # fmt: skip
"""Figure -> the tables without which it is left out; else "methods"."""
