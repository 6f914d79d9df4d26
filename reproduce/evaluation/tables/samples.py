"""Responses to read and compare, and what of them may be published."""

import itertools
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from reproduce.data.overlap import OVERLAP_WORDS, ngrams
from reproduce.evaluation.formatting import quoted_markdown, visible
from reproduce.evaluation.results import Results
from reproduce.evaluation.tables.render import Table, TableRow
from reproduce.schema import Example, JudgedResponse, read_records, read_sets, write_records
from reproduce.study import Study
from reproduce.utils.files import atomic_dir

REMOVED = re.compile(r"\[(\d+) words copied\]")
"""What `without_copies` puts in place of other people's text."""
SCORES = ("task", "faithfulness", "instruction")
NOTE = (
    "Prompts and reference responses are other people's text and are left out here, as are "
    f"{OVERLAP_WORDS} or more consecutive words that a response copies from them. "
    "`reproduce summary` writes all of it from the downloaded data."
)


def samples(results: Results, arms: Sequence[str], texts: bool, per_dataset: int = 2) -> str:
    """Return some responses per data set as Markdown, of all arms next to the reference response.

    They are to the first prompts of each set, from the first seed, and not chosen. Without
    `texts`, other people's text is left out.
    """
    parts = [] if texts else [NOTE]
    for dataset, examples in results.sets.items():
        for position, example in enumerate(examples[:per_dataset]):
            lines = [f"### {dataset}, {example.id}"]
            if texts:
                lines += ["Prompt", quoted_markdown(example.prompt)]
                lines += ["Reference response", quoted_markdown(example.response or "(none)")]
            for arm in arms:
                row = results.frame(arm, dataset).iloc[position]
                response = row["response"] if texts else without_copies(row["response"], example)
                scores = [f"{name} {row[name]:.2f}" for name in SCORES if row[name] == row[name]]
                lines.append(f"**{results.labels[arm]}** ({', '.join(scores)})")
                lines.append(quoted_markdown(response))
            parts.append("\n\n".join(lines))
    return "\n\n".join(parts) + "\n"


def generations(results: Results, arms: Collection[str]) -> Table:
    """Return every final response of some arms, first seed, with its scores."""
    scores = results.scores
    final = scores[
        (scores["train_fraction"] == 1.0)
        & (scores["seed"] == results.seeds[0])
        & scores["arm"].isin(arms)
    ]
    by_id = {e.id: e for examples in results.sets.values() for e in examples}
    rows: list[TableRow] = []
    for row in final.to_dict("records"):
        response = row["response"]
        if not results.own_texts:
            response = without_copies(response, by_id[row["example"]])
        values = {name: None if row[name] != row[name] else row[name] for name in SCORES}
        rows.append({"key": row["arm"], "dataset": row["dataset"], "example": row["example"],
                     "response": visible(response), **values})  # fmt: skip
    return Table("generations", rows)


def prompts(results: Results) -> Table:
    """Return every evaluation prompt with its reference response."""
    return Table("prompts", [
        {"dataset": name, "example": e.id, "prompt": e.prompt, "reference": e.response}
        for name, examples in results.sets.items()
        for e in examples
    ])  # fmt: skip


def without_copies(response: str, example: Example, words: int = OVERLAP_WORDS) -> str:
    """Return a response without runs of at least `words` words of other people's text.

    That is the example's prompt, context, reference response and references. A run of n words
    becomes "[n words copied]".
    """
    texts = (example.prompt, example.context, example.response, *example.references)
    sources = set().union(*(ngrams(text, words) for text in texts))
    tokens = response.split()
    copied: set[int] = set()
    for start in range(len(tokens) - words + 1):
        if " ".join(tokens[start : start + words]).casefold() in sources:
            copied.update(range(start, start + words))
    if not copied:
        return response
    parts = []
    for is_copied, group in itertools.groupby(range(len(tokens)), copied.__contains__):
        run = [tokens[position] for position in group]
        parts.append(f"[{len(run)} words copied]" if is_copied else " ".join(run))
    return " ".join(parts)


def export_seed(study: Study, arm: str, seed: int) -> Path:
    """Copy an arm's results of a seed to paper/results and return their folder there.

    Unless the project made the data itself, other people's text is removed from the responses.
    """
    source, target = study.results_dir(arm, seed), study.paper / "results" / arm / f"seed-{seed}"
    responses = read_records(source / "evaluation.jsonl", JudgedResponse)
    if study.params.data.world is None:
        sets = read_sets(study.artifacts / "data" / "evaluation")
        by_id = {e.id: e for examples in sets.values() for e in examples}
        responses = [
            replace(r, response=without_copies(r.response, by_id[r.example])) for r in responses
        ]
    with atomic_dir(target) as draft:
        for name in ("history.json", "record.json"):
            shutil.copyfile(source / name, draft / name)
        write_records(draft / "evaluation.jsonl", responses)
    return target
