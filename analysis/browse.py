"""What generations.ipynb shows: responses of several arms to one prompt, with their judgements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reproduce.config import load_params
from reproduce.schema import Example, read_sets
from reproduce.utils.files import UnusableFile, checked, read_filled, read_rows

JUDGES = ("task", "faithfulness", "instruction")
LOOK = {"white-space": "pre-wrap", "text-align": "left", "vertical-align": "top"}


def side_by_side(
    profile: Path, arms: Sequence[str], dataset: str, seed: int, first: int = 0, count: int = 8
) -> Any:
    """Return a table to display: a row a prompt, a column an arm, each response with its scores.

    Where the artifacts are not there, the responses that are committed: the main arms, one seed,
    and prompts only where they are no one else's. Where those do not do, what is missing and the
    command that makes it.

    Args:
        profile: its folder.
        arms: each "experiment/arm".
        dataset: an evaluation set, or "" for prompts of each in turn.
        seed: of the models.
        first: how many prompts to skip.
        count: how many prompts to show.
    """
    try:
        rows = _made(profile, arms, dataset, seed, slice(first, first + count))
    except UnusableFile as error:
        try:
            rows = _committed(profile, arms, dataset, seed)[first : first + count]
        except UnusableFile as other:
            return _message(profile, f"{error}; {other}")
    table = pd.DataFrame(rows).style.set_uuid("responses")  # else another one at each run
    return table.format(escape="html").set_properties(**LOOK).hide(axis="index")


def datasets(profile: Path) -> Any:
    """Return the names and sizes of the evaluation sets, or what to run to have them."""
    try:
        sets = read_sets(profile / "artifacts" / "evaluation")
    except UnusableFile as error:
        if not _table(profile).is_file():
            return _message(profile, str(error))
        rows = pd.read_csv(_table(profile)).drop_duplicates(["dataset", "example"])
        counts = rows.groupby("dataset", sort=False).size()
        return counts.rename_axis("data set").reset_index(name="prompts")
    facts = [{"data set": n, "kind": e[0].kind, "prompts": len(e)} for n, e in sets.items()]
    return pd.DataFrame(facts)


def _table(profile: Path) -> Path:
    return profile / "paper" / "tables" / "generations.csv"


def _made(
    profile: Path, arms: Sequence[str], dataset: str, seed: int, part: slice
) -> list[dict[str, str]]:
    examples = _examples(profile, dataset)[part]
    answers = {arm: _answers(profile / "artifacts" / arm, seed) for arm in arms}
    return [_row(example, answers) for example in examples]


def _committed(profile: Path, arms: Sequence[str], dataset: str, seed: int) -> list[dict[str, str]]:
    """Return a row a prompt from the committed table; UnusableFile says what it does not hold."""
    rows = read_filled(_table(profile), ("key", "dataset", "example", "response", *JUDGES))
    keys, first = {row["key"] for row in rows}, load_params(profile / "params.yaml").seeds[0]
    if lacking := [arm for arm in arms if arm not in keys]:
        raise UnusableFile(f"committed are responses of {', '.join(sorted(keys))}, not {lacking}")
    if seed != first:
        raise UnusableFile(f"committed are responses of seed {first} only")
    texts = {row["example"]: row for row in _prompts(profile)}
    sets: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        shown = sets.setdefault(row["dataset"], {}).setdefault(row["example"], _head(row, texts))
        if row["key"] in arms:
            shown[row["key"]] = _judged({**row, **{name: _number(row[name]) for name in JUDGES}})
    if dataset and dataset not in sets:
        raise ValueError(f"no data set is called '{dataset}'; there are: {', '.join(sets)}")
    if dataset:
        return list(sets[dataset].values())
    return [
        row for found in zip(*(s.values() for s in sets.values()), strict=False) for row in found
    ]


def _prompts(profile: Path) -> list[dict[str, str]]:
    path = _table(profile).with_name("prompts.csv")
    return read_filled(path) if path.is_file() else []


def _head(row: dict[str, str], texts: dict[str, dict[str, str]]) -> dict[str, str]:
    text = texts.get(row["example"])
    if text is None:  # Somebody else's, so it is not committed.
        return {"data set": row["dataset"], "example": row["example"]}
    return {"data set": row["dataset"], "prompt": text["prompt"], "gold response": text["gold"]}


def _number(text: str) -> float | None:
    return float(text) if text else None


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
        "which is not in git, or from the committed `paper/tables/generations.csv`. To make them, "
        "run in a terminal (README.md says how long it takes):"
        f"\n\n```\ncd {profile.resolve()}\ndvc repro\n```"
    )
