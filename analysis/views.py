"""What the notebooks of the experiments show: rows of a committed table, and training losses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproduce.reporting.plotting import PALETTE, looks, loss_line, new_figure, read_table


def rows_of(tables: Path, name: str, arms: Sequence[str] = ()) -> Any:
    """Return the rows of a committed table, rounded; of `arms` only, where any are given.

    An arm goes by its name or its label. Raises ValueError, with the names that there are, for one
    that the study does not have.
    """
    rows = read_table(tables, name).round(3)
    return rows[_are(rows, arms, tables)] if arms else rows


def losses_of(
    tables: Path, experiment: str, arms: Sequence[str] = (), seed: int | None = None
) -> Any:
    """Return a figure of the training losses of `arms`, or of all arms of an experiment.

    They are those of one seed, or the mean over all. Raises ValueError, with what there is, for an
    arm or a seed that the study does not have.
    """
    rows = read_table(tables, "losses")
    rows = rows[_are(rows, arms, tables) if arms else rows["experiment"] == experiment]
    seeds = sorted(read_table(tables, "losses")["seed"].unique().tolist())
    if seed is not None and seed not in seeds:
        raise ValueError(f"there is no seed {seed}; there are: {seeds}")
    rows = rows if seed is None else rows[rows["seed"] == seed]
    said = f"Mean over the seeds {seeds}." if seed is None else f"Seed {seed}."
    figure, axes = new_figure(2.6, "Training losses", said)
    lines = rows.groupby(["experiment", "arm"], sort=False)
    for (_, run), (colour, style) in zip(lines, looks(PALETTE), strict=False):
        loss_line(axes, run, colour, style)
    axes.set(xlabel="Share of the arm's training", ylabel="Loss (nats)", ylim=(0, None))
    if rows.empty:
        axes.text(0.5, 0.5, f"not trained: {', '.join(arms)}", ha="center")
    else:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _are(rows: Any, arms: Sequence[str], tables: Path) -> Any:
    """Return for each row whether it is of one of the arms."""
    names = read_table(tables, "scores")[["arm", "label"]].drop_duplicates()
    if unknown := [arm for arm in arms if not names.isin([arm]).any(axis=None)]:
        raise ValueError(f"no arm is called {unknown[0]!r}; there are: {', '.join(names['arm'])}")
    labels = names.loc[names.isin(arms).any(axis="columns"), "label"]
    return rows["label"].isin([*arms, *labels])
