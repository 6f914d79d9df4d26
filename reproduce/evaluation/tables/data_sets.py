"""What a study trains and evaluates on, what was left out, and what both sides have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reproduce.data.overlap import OVERLAP_WORDS, overlap, seen_runs
from reproduce.evaluation.tables.render import Table
from reproduce.schema import Sets, read_sets
from reproduce.utils.files import read_csv

Row = dict[str, Any]

FEWER_WORDS = 8
"""A run short enough for prompts of one sentence to share."""

OFFERED = {
    "rows": ("Rows", "rows of the files"),
    "parsed": ("Parsed", "usable rows of the files"),
    "left_out": (
        "By rule",
        "rows left out by a rule of the study, such as instructions with a context",
    ),
    "refused": ("Refused", "rows that are not as their format says"),
    "cut_off": ("Cut off", "contexts that end within a sentence"),
    "too_long": ("Too long", "beyond the profile's bounds on length"),
    "shared": ("On both sides", "not trained on because evaluation has the text"),
    "repeated": ("Repeated", "seen before"),
}
"""What a source may count -> its header, and what it means; files and hubs count some of these."""


def data_sets(artifacts: Path) -> Table:
    """Return a row a data set: its source's rows, those left out, those used, the overlap."""
    training = read_sets(artifacts / "training")
    held_out = read_sets(artifacts / "evaluation")
    counts = artifacts / "evaluation" / "counts.csv"
    offered = {row["dataset"]: row for row in read_csv(counts)} if counts.is_file() else {}
    rows = _rows(training, held_out, offered)
    headers = {"dataset": "Data set", "side": "Side"}
    counted = [name for name in OFFERED if name in rows[0]]
    headers |= {name: OFFERED[name][0] for name in counted}
    headers |= {
        "train": "Train", "evaluation": "Evaluation", "exact": "Exact",
        "long": f"{OVERLAP_WORDS} words", "short": f"{FEWER_WORDS} words",
    }  # fmt: skip
    meant = "; ".join(f"{OFFERED[name][0].lower()}: {OFFERED[name][1]}" for name in counted)
    caption = (
        f"What the study draws from. {f'{meant.capitalize()}. ' if meant else ''}Train and "
        "evaluation: examples that the study draws from and those that it evaluates on. Exact: "
        "evaluation prompts that are a training prompt; then the share of them whose passage (or "
        "prompt, where it has none) has a run of so many words in common with any in training."
    )
    return Table("data-sets", caption, headers, rows)


def _rows(training: Sets, held_out: Sets, offered: Mapping[str, Mapping[str, str]]) -> list[Row]:
    prompts = {example.prompt for examples in training.values() for example in examples}
    seen = {words: seen_runs(training.values(), words) for words in (OVERLAP_WORDS, FEWER_WORDS)}
    rows: list[Row] = []
    for name in sorted({*training, *held_out}):
        asked = held_out.get(name, [])
        row: Row = {"dataset": name, "side": (asked or training[name])[0].side}
        counts = offered.get(name, {})
        row |= {key: int(counts[key]) for key in OFFERED if key in counts}
        row |= {"train": len(training.get(name, [])), "evaluation": len(asked)}
        row |= dict.fromkeys(("exact", "long", "short"))
        if asked:
            row["exact"] = sum(example.prompt in prompts for example in asked)
            row["long"] = overlap(asked, seen[OVERLAP_WORDS], OVERLAP_WORDS)
            row["short"] = overlap(asked, seen[FEWER_WORDS], FEWER_WORDS)
        rows.append(row)
    return rows
