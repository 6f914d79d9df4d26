"""Tables on how far a study can be trusted: its runs, losses, data sets, seeds and scale."""

from pathlib import Path

import pandas as pd

from reproduce.data.overlap import OVERLAP_WORDS, overlap, training_ngrams
from reproduce.evaluation.formatting import numbered
from reproduce.evaluation.results import (
    FAITHFULNESS,
    INSTRUCTION,
    LOSS_COLUMNS,
    OBJECTIVES,
    Results,
)
from reproduce.evaluation.tables.render import Table, TableRow
from reproduce.evaluation.tables.samples import REMOVED
from reproduce.schema import read_sets
from reproduce.utils.files import read_csv

SOURCE_COUNTS = {
    "rows": ("Rows", "rows of the source"),
    "left_out": ("Left out", "left out by a rule, which is named"),
    "invalid": ("Invalid", "not as their format says"),
    "too_long": ("Too long", "beyond the profile's limits on length"),
    "shared": ("On both sides", "not trained on because evaluation has the text"),
    "repeated": ("Repeated", "their prompt was seen before"),
}
"""Counts of real text (data/evaluation/counts.csv) -> header and meaning."""


def diagnostics(results: Results) -> Table:
    """Return per arm what was lost in its evaluation, and how its training went."""
    rows: list[TableRow] = []
    at_end = results.scores[results.scores["train_fraction"] == 1.0]
    for name, final in at_end.groupby("arm", sort=False):
        arm = str(name)
        losses = results.losses[results.losses["arm"] == arm]
        row: TableRow = {
            **results.names(arm),
            "responses": len(final), "empty": float(final["empty"].mean()),
            "cut": 1 - float(final["finished"].mean()),
            "words": f"{final[final['side'] == 'IF']['response'].map(_num_words).median():g}",
            "examples": results.mean_of(arm, "examples"),
            "first_loss": _mean_loss(losses, first=True),
            "last_loss": _mean_loss(losses, first=False),
        }  # fmt: skip
        if results.has_ratings:
            rated = final[final["unrated"].notna() & (final["empty"] == 0)]
            row |= {"rated": len(rated), "unrated": int(rated["unrated"].sum())}
        rows.append(row)
    headers = {
        "label": "Arm", "responses": "Responses", "empty": "Empty", "cut": "Truncated",
        "words": "Words (IF)", "examples": "Training examples", "first_loss": "First loss",
        "last_loss": "Last loss",
    }  # fmt: skip
    notes = [
        "Empty, truncated (by the limit on new tokens; completions of plain text do not count): "
        "shares of the responses. Words: median of a response to an IF prompt.",
        "Training examples: mean over seeds. Losses: means over the first and the last tenth of "
        "the steps.",
    ]
    if too_long := results.training["too_long"].sum():
        notes.append(f"Left out of training as too long: {too_long} examples, all arms and seeds.")
    if results.has_ratings:
        headers |= {"rated": "Rated", "unrated": "Rating unreadable"}
        notes.append("Rated: responses that the LLM judge was asked about.")
    return Table(
        "diagnostics", rows, headers, "Diagnostics",
        f"Evaluation and training of every arm ({numbered(results.seeds)}).", notes,
    )  # fmt: skip


def losses(results: Results) -> Table:
    """Return every logged training loss, one row per step."""
    rows = results.losses[list(LOSS_COLUMNS)].to_dict("records")
    rows = [{**row, "learning_rate": f"{row['learning_rate']:.6g}"} for row in rows]
    return Table("losses", rows)


def datasets(artifacts: Path) -> Table:
    """Return per data set the rows of its source, those left out and used, and the overlap."""
    training = read_sets(artifacts / "data" / "training")
    evaluation = read_sets(artifacts / "data" / "evaluation")
    counts_file = artifacts / "data" / "evaluation" / "counts.csv"
    counts = {row["dataset"]: row for row in read_csv(counts_file)} if counts_file.is_file() else {}
    training_prompts = {e.prompt for examples in training.values() for e in examples}
    ngrams = training_ngrams(training.values())
    rows: list[TableRow] = []
    for name in sorted({*training, *evaluation}):
        examples = evaluation.get(name, [])
        rows.append({
            "dataset": name, "side": (examples or training[name])[0].side,
            **{key: counts[name][key] for key in SOURCE_COUNTS if counts},
            "train": len(training.get(name, [])), "evaluation": len(examples),
            "exact": sum(e.prompt in training_prompts for e in examples) if examples else None,
            "overlap": overlap(examples, ngrams) if examples else None,
        })  # fmt: skip
    headers = {
        "dataset": "Data set", "side": "Side",
        **{key: header for key, (header, _) in SOURCE_COUNTS.items() if counts},
        "train": "Train", "evaluation": "Evaluation", "exact": "Exact",
        "overlap": f"{OVERLAP_WORDS} words",
    }  # fmt: skip
    notes = [
        "Exact: evaluation prompts that are also training prompts. Words: share of evaluation "
        "prompts whose passage (or prompt, if it has none) has so many consecutive words in "
        "common with training."
    ]
    if counts:
        meanings = (f"{header}: {meaning}" for header, meaning in SOURCE_COUNTS.values())
        notes.insert(0, "; ".join(meanings) + ".")
    return Table(
        "datasets", rows, headers, "Data sets",
        "What the study trains on and evaluates on, and what both have in common.", notes,
    )  # fmt: skip


def seeds(results: Results) -> Table:
    """Return the objectives of every arm, seed by seed."""
    rows: list[TableRow] = []
    for arm in results.arms:
        row: TableRow = dict(results.names(arm))
        for metric in OBJECTIVES:
            means = results.seed_means(metric, arm)
            row |= {f"{metric.name}:{seed}": means.get(seed) for seed in results.seeds}
        rows.append(row)
    headers = {"label": "Arm"} | {
        f"{metric.name}:{seed}": f"{metric.title}, seed {seed}"
        for metric in OBJECTIVES for seed in results.seeds
    }  # fmt: skip
    return Table(
        "seeds", rows, headers, "Scores per seed",
        "Means over data sets, of the prompts that have a score for every seed.",
        ("A seed has its own training examples, their order and, unless it is imported, its own "
         "pretrained model.",),
    )  # fmt: skip


def study(results: Results) -> Table:
    """Return one row on the scale: profile, parameters, seeds, arms, prompts per side."""
    prompts = {
        name: sum(len(results.sets[dataset]) for dataset in results.datasets(metric))
        for name, metric in (("if_prompts", INSTRUCTION), ("cd_prompts", FAITHFULNESS))
    }
    return Table("study", [{
        "profile": results.study.params.profile, "parameters": results.parameters,
        "fine_tuning": results.study.params.training.tuned,
        "seeds": len(results.seeds), "arms": len(results.arms), **prompts,
        "confidence": results.confidence,
    }])  # fmt: skip


def _num_words(response: str) -> int:
    """Return the number of words, of a published response also those left out of it."""
    return len(REMOVED.sub(lambda match: "x " * int(match[1]), response).split())


def _mean_loss(losses: pd.DataFrame, first: bool) -> float | None:
    """Return the mean over seeds of the mean loss in the first, or last, tenth of the steps."""
    if not len(losses):
        return None
    means = []
    for _, run in losses.groupby("seed"):
        values = run.sort_values("step", kind="stable")["loss"]
        tenth = max(1, len(values) // 10)
        means.append((values[:tenth] if first else values[-tenth:]).mean())
    return float(sum(means) / len(means))
