"""Why answers are wrong: how many of them state the fact that the model remembers."""

from typing import Any

import numpy as np

from reproduce.bootstrap import Grid
from reproduce.evaluation.results import MAIN, STATES_ANSWER, TASK, Estimate, Results
from reproduce.evaluation.tables.arms import note
from reproduce.evaluation.tables.render import Table
from reproduce.judges.task import exact_match, normalise, states
from reproduce.schema import Example


def mechanism(results: Results) -> Table:
    """Return, an arm a row, the share of wrong answers that state the remembered fact.

    Only extractive questions count whose remembered fact is known and is not the right answer;
    the table has no rows where there is none, or no arm answers one wrong.
    """
    chances = _chances(results)
    rows = [_row(results, key, chances) for key in MAIN] if chances else []
    rows = rows if any(row["wrong"] for row in rows) else []
    headers = {
        "label": "Arm", "answers": "Answers", "wrong": "Wrong answers",
        "remembered": "Share remembered", "chance": "Chance",
    }  # fmt: skip
    headers |= {f"probe:{name}": f"Probe: {name}" for name in results.probes()}
    what = (
        "Answers to extractive questions whose context contradicts what the model learned in "
        "pretraining. Wrong: does not state the answer that the context gives; remembered: the "
        "share of the wrong ones that states the remembered fact instead. Chance is that share "
        "if every wrong answer named one random other value of the question's type; two values "
        "are of one type if they are answer and remembered fact of one question, or linked by "
        "such pairs. Probes: share of responses that state the answer"
    )
    return Table("mechanism", f"{what}. {note(results, rows)}", headers, rows)


def conflicting(results: Results) -> dict[str, list[int]]:
    """Return data set -> positions of its questions whose remembered fact is a wrong answer."""
    found = {
        name: [n for n, example in enumerate(examples) if _conflicts(example)]
        for name, examples in results.sets.items()
        if not examples[0].probe
    }
    return {name: positions for name, positions in found.items() if positions}


def _row(results: Results, key: str, chances: dict[str, float]) -> dict[str, Any]:
    wrong, remembered, chance = [], [], 0.0
    for name, positions in conflicting(results).items():
        grid = _wrong(results, key, name, positions)
        wrong.append(grid)
        remembered.append(grid * _remembered(results, key, name, positions))
        odds = [chances[results.sets[name][n].id] for n in positions]
        chance += float((grid * np.array(odds)).sum())
    total = int(sum(grid.sum() for grid in wrong))
    experiment, arm = key.split("/")
    row: dict[str, Any] = {"experiment": experiment, "arm": arm, "label": results.labels[key]}
    row |= {"answers": sum(grid.size for grid in wrong), "wrong": total}
    row["remembered"] = results.ratio(remembered, wrong)
    row["chance"] = chance / total if total else None
    return {**row, **_probes(results, key)}


def _probes(results: Results, key: str) -> dict[str, Estimate | None]:
    found = {}
    for name in results.probes():
        measure = STATES_ANSWER if results.sets[name][0].kind == "extractive" else TASK
        found[f"probe:{name}"] = results.estimate(measure, key, datasets=[name])
    return found


def _wrong(results: Results, key: str, dataset: str, positions: list[int]) -> Grid:
    return (results.grid(key, dataset, "states_answer")[:, positions] < 1).astype(float)


def _remembered(results: Results, key: str, dataset: str, positions: list[int]) -> Grid:
    frame = results.frame(key, dataset)
    pairs = zip(frame["response"], frame["memory"], strict=True)
    hits = [states(response, [memory]) for response, memory in pairs]
    return np.array(hits).reshape(len(results.seeds), -1)[:, positions]


def _conflicts(example: Example) -> bool:
    known = example.kind == "extractive" and bool(example.memory)
    return known and not exact_match(example.memory, example.references)


def _chances(results: Results) -> dict[str, float]:
    """Return example -> chance that a random wrong value of its type is the remembered one."""
    examples = [e for found in results.sets.values() for e in found if _conflicts(e)]
    types: list[set[str]] = []
    for example in examples:
        linked = {normalise(text) for text in (*example.references, example.memory)}
        for known in [known for known in types if known & linked]:
            types.remove(known)
            linked |= known
        types.append(linked)
    size = {value: len(known) for known in types for value in known}
    right = {example.id: len(set(map(normalise, example.references))) for example in examples}
    return {e.id: 1 / (size[normalise(e.memory)] - right[e.id]) for e in examples}
