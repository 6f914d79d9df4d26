"""What generations.ipynb shows: responses of several arms to one prompt, with their judgements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reproduce.examples import Example, read_sets
from reproduce.files import UnusableFile, checked, read_rows

JUDGES = ("task", "faithfulness", "instruction")
LOOK = {"white-space": "pre-wrap", "text-align": "left", "vertical-align": "top"}


def side_by_side(
    profile: Path, arms: Sequence[str], dataset: str, seed: int, first: int = 0, count: int = 8
) -> Any:
    """Return a table to display: a row a prompt, a column an arm, each response with its scores.

    Where the artifacts are not there, what is missing and the command that makes it.

    Args:
        profile: its folder.
        arms: each "experiment/arm".
        dataset: an evaluation set, or "" for prompts of each in turn.
        seed: of the models.
        first: how many prompts to skip.
        count: how many prompts to show.
    """
    try:
        examples = _examples(profile, dataset)[first : first + count]
        answers = {arm: _answers(profile / "artifacts" / arm, seed) for arm in arms}
        rows = [_row(example, answers) for example in examples]
    except UnusableFile as error:
        return _message(profile, str(error))
    return pd.DataFrame(rows).style.format(escape="html").set_properties(**LOOK).hide(axis="index")


def datasets(profile: Path) -> Any:
    """Return the names and sizes of the evaluation sets, or what to run to have them."""
    try:
        sets = read_sets(profile / "artifacts" / "evaluation")
    except UnusableFile as error:
        return _message(profile, str(error))
    facts = [{"data set": n, "kind": e[0].kind, "prompts": len(e)} for n, e in sets.items()]
    return pd.DataFrame(facts)


def _examples(profile: Path, dataset: str) -> list[Example]:
    sets = read_sets(profile / "artifacts" / "evaluation")
    if dataset and dataset not in sets:
        raise ValueError(f"no data set is called '{dataset}'; there are: {', '.join(sets)}")
    if dataset:
        return sets[dataset]
    return [example for found in zip(*sets.values(), strict=False) for example in found]


def _answers(arm: Path, seed: int) -> dict[str, dict[str, Any]]:
    rows = read_rows(checked(arm) / f"seed-{seed}" / "evaluation.jsonl")
    return {row["example"]: row for row in rows if row["progress"] == 1.0}


def _row(example: Example, answers: dict[str, dict[str, dict[str, Any]]]) -> dict[str, str]:
    row = {"data set": example.dataset, "prompt": example.prompt, "gold response": example.response}
    for arm, found in answers.items():
        if example.id not in found:
            raise UnusableFile(f"artifacts/{arm}: no answer to {example.id}; it is of other data")
        row[arm] = _judged(found[example.id])
    return row


def _judged(answer: dict[str, Any]) -> str:
    scores = [f"{name} {answer[name]:.2f}" for name in JUDGES if answer[name] is not None]
    return f"{answer['response'] or '(empty)'}\n\n[{', '.join(scores) or 'no score'}]"


def _message(profile: Path, reason: str) -> Any:
    from IPython.display import Markdown

    return Markdown(  # type: ignore[no-untyped-call]
        f"**Nothing to show:** {reason}.\n\nResponses are read from `artifacts/` of the profile, "
        "which is not in git. To make them, run in a terminal (README.md says how long it takes):"
        f"\n\n```\ncd {profile.resolve()}\ndvc repro\n```"
    )
