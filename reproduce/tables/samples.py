"""Responses that a reader can compare by eye, and all of them for programs."""

from collections.abc import Sequence
from typing import Any

from reproduce.results import MAIN, Results

SHOWN = 2
"""Prompts a data set whose responses are printed side by side."""

SCORES = ("task", "faithfulness", "instruction")


ELSEWHERE = (
    "Prompts and references are other people's texts and are not kept here; "
    "`reproduce summary` writes them beside the responses, from the data that were fetched."
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
                told.append(f"**{results.labels[key]}**: {row['response']} ({_scores(row)})")
            parts.append("\n\n".join(told))
    return "\n\n".join(parts) + "\n"


def generations(results: Results) -> list[dict[str, Any]]:
    """Return every final response of the main arms, first seed, with its scores."""
    final = results.scores[
        (results.scores["progress"] == 1.0)
        & (results.scores["seed"] == results.seeds[0])
        & results.scores["key"].isin(MAIN)
    ]
    rows = final[["key", "dataset", "example", "response", *SCORES]].to_dict("records")
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


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
