"""Tables of wrong answers: what becomes of a question, and which errors are memorised facts."""

import numpy as np

from reproduce.evaluation.results import MAIN_ARMS, METRICS, TASK, Results
from reproduce.evaluation.tables.render import Table, TableRow, note_on_intervals
from reproduce.judges.task import contains_answer, exact_match, normalise
from reproduce.schema import Example


def outcomes(results: Results) -> Table:
    """Return, per main arm and set of questions, the shares of the three outcomes."""
    rows: list[TableRow] = []
    for arm in MAIN_ARMS:
        for name in results.datasets(METRICS["states_answer"]):
            stated, entailed = (results.grid(arm, name, c) for c in ("states_answer", "entailed"))
            right = (stated == 1).astype(float)
            contradicted = ((stated < 1) & (entailed < 0)).astype(float)
            answered = right + contradicted
            rows.append({
                **results.names(arm), "dataset": name,
                "right": results.mean(right), "contradicted": results.mean(contradicted),
                "silent": results.mean(1 - answered),
                "reliable": results.ratio([right], [answered]),
            })  # fmt: skip
    headers = {
        "label": "Arm", "dataset": "Data set", "right": "Right", "contradicted": "Contradicted",
        "silent": "Neither", "reliable": "Right, of right and contradicted",
    }  # fmt: skip
    return Table(
        "outcomes", rows, headers, "Right, contradicted or neither",
        "Outcomes of extractive questions.",
        ("Right: states a reference answer. Contradicted: does not, and its `entailed` score is "
         "below 0. Neither: another statement, or none.",
         "Both kinds of wrong answer lower faithfulness.", note_on_intervals(results, rows)),
    )  # fmt: skip


def memorised_errors(results: Results) -> Table:
    """Return, per main arm, the share of wrong answers that state the memorised fact.

    Only questions count whose parametric answer is known and wrong. The table has no rows where
    there are none, or no arm answers one wrong.
    """
    chances = _chances([e for examples in results.sets.values() for e in examples])
    rows: list[TableRow] = []
    for arm in MAIN_ARMS if chances else ():
        wrong, memorised, chance = [], [], 0.0
        for name, examples in results.sets.items():
            columns = [n for n, e in enumerate(examples) if _conflicts(e) and not e.is_probe]
            if not columns:
                continue
            grid = (results.grid(arm, name, "states_answer")[:, columns] < 1).astype(float)
            texts = results.frame(arm, name)["response"].to_numpy().reshape(len(results.seeds), -1)
            hits = [
                [contains_answer(row[n], [examples[n].parametric_answer]) for n in columns]
                for row in texts
            ]
            wrong.append(grid)
            memorised.append(grid * np.array(hits))
            chance += float((grid * np.array([chances[examples[n].id] for n in columns])).sum())
        total = int(sum(grid.sum() for grid in wrong))
        row: TableRow = {
            **results.names(arm),
            "answers": sum(grid.size for grid in wrong), "wrong": total,
            "remembered": results.ratio(memorised, wrong),
            "chance": chance / total if total else None,
        }  # fmt: skip
        for name in results.probes():
            metric = (
                METRICS["states_answer"] if results.sets[name][0].kind == "extractive" else TASK
            )
            row[f"probe:{name}"] = results.estimate(metric, arm, datasets=[name])
        rows.append(row)
    if not any(row["wrong"] for row in rows):
        rows = []
    headers = {
        "label": "Arm", "answers": "Answers", "wrong": "Wrong answers",
        "remembered": "Share memorised", "chance": "Chance",
        **{f"probe:{name}": f"Probe: {name}" for name in results.probes()},
    }  # fmt: skip
    return Table(
        "memorised-errors", rows, headers, "Memorised facts among wrong answers",
        "Answers to extractive questions whose context contradicts a fact of pretraining.",
        ("Share memorised: wrong answers that state the fact of pretraining.",
         "Chance: the same share if each wrong answer were another value of its type at random; "
         "types are values linked as right and memorised answer of one question.",
         "Probes: share of responses that state the answer.", note_on_intervals(results, rows)),
    )  # fmt: skip


def _conflicts(example: Example) -> bool:
    known = example.kind == "extractive" and bool(example.parametric_answer)
    return known and not exact_match(example.parametric_answer, example.references)


def _chances(examples: list[Example]) -> dict[str, float]:
    """Return id of an example -> chance that a random wrong value of its type is memorised."""
    examples = [example for example in examples if _conflicts(example)]
    types: list[set[str]] = []
    for example in examples:
        linked = {normalise(text) for text in (*example.references, example.parametric_answer)}
        for overlapping in [values for values in types if values & linked]:
            types.remove(overlapping)
            linked |= overlapping
        types.append(linked)
    size = {value: len(values) for values in types for value in values}
    return {
        e.id: 1 / (size[normalise(e.parametric_answer)] - len(set(map(normalise, e.references))))
        for e in examples
    }
