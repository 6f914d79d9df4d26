"""Responses that a reader can compare by eye, and all of them for programs."""

import itertools
from collections.abc import Collection, Sequence
from typing import Any

from reproduce.data.overlap import OVERLAP_WORDS, runs
from reproduce.evaluation.results import Results
from reproduce.schema import Example

SHOWN = 2
"""Prompts a data set whose responses are printed side by side."""

SCORES = ("task", "faithfulness", "instruction")


ELSEWHERE = (
    "Prompts and references are other people's texts and are not kept here, nor what a response "
    f"copies of them, {OVERLAP_WORDS} words or more; `reproduce summary` writes all of it, from "
    "the data that were fetched."
)


def samples(results: Results, keys: Sequence[str], count: int = SHOWN, texts: bool = True) -> str:
    """Return `count` responses a data set as Markdown, the arms' `keys` beside the gold response.

    They are the first prompts of each set and the first seed: nobody chose them. Without `texts`
    prompts and gold responses are left out.
    """
    parts: list[str] = [] if texts else [ELSEWHERE]
    for name, examples in results.sets.items():
        for position, example in enumerate(examples[:count]):
            told = [f"### {name}, {example.id}"]
            if texts:
                told += [quoted(example.prompt), f"Gold: {example.response or '(none)'}"]
            for key in keys:
                row = results.frame(key, name).iloc[position]
                response = row["response"] if texts else without_copies(row["response"], example)
                told.append(f"**{results.labels[key]}**: {response} ({_scores(row)})")
            parts.append("\n\n".join(told))
    return "\n\n".join(parts) + "\n"


def generations(
    results: Results, keys: Collection[str], texts: bool = True
) -> list[dict[str, Any]]:
    """Return every final response of the arms `keys`, first seed, with its scores.

    Without `texts` what a response copies of its prompt is left out.
    """
    final = results.scores[
        (results.scores["progress"] == 1.0)
        & (results.scores["seed"] == results.seeds[0])
        & results.scores["key"].isin(keys)
    ]
    rows = final[["key", "dataset", "example", "response", *SCORES]].to_dict("records")
    if not texts:
        examples = {e.id: e for found in results.sets.values() for e in found}
        for row in rows:
            row["response"] = without_copies(row["response"], examples[row["example"]])
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


def without_copies(response: str, example: Example, words: int = OVERLAP_WORDS) -> str:
    """Return a response with every run of so many words or more of other people's texts left out.

    These are the example's prompt and context, its gold response and its references.
    """
    texts = (example.prompt, example.context, example.response, *example.references)
    theirs = set().union(*(runs(text, words) for text in texts))
    said = response.split()
    copied = [False] * len(said)
    for place in range(len(said) - words + 1):
        if " ".join(said[place : place + words]).casefold() in theirs:
            copied[place : place + words] = [True] * words
    if not any(copied):
        return response
    parts = [
        f"[{len(group)} words copied]" if theirs_too else " ".join(group)
        for theirs_too, group in _grouped(said, copied)
    ]
    return " ".join(parts)


def _grouped(said: Sequence[str], copied: Sequence[bool]) -> list[tuple[bool, list[str]]]:
    groups = itertools.groupby(zip(copied, said, strict=True), key=lambda pair: pair[0])
    return [(mark, [word for _, word in group]) for mark, group in groups]


def prompts(results: Results) -> list[dict[str, Any]]:
    """Return every evaluation prompt with its gold response; `example` leads to `generations`."""
    return [
        {"dataset": name, "example": e.id, "prompt": e.prompt, "gold": e.response}
        for name, examples in results.sets.items()
        for e in examples
    ]


def quoted(text: str) -> str:
    """Return `text` as a Markdown quotation."""
    return "\n".join(f"> {line}" for line in text.splitlines())


def _scores(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {row[name]:.2f}" for name in SCORES if row[name] == row[name])
