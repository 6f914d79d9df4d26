"""What becomes of a question: answered right, contradicted, or not answered at all."""

from typing import Any

from reproduce.evaluation.results import MAIN, Results
from reproduce.evaluation.tables.arms import note
from reproduce.evaluation.tables.render import Table


def outcomes(results: Results) -> Table:
    """Return, for each main arm and set of questions, the shares of the three outcomes."""
    names = [
        name
        for name, examples in results.sets.items()
        if examples[0].kind == "extractive" and not examples[0].probe
    ]
    rows = [_row(results, key, name) for key in MAIN for name in names]
    headers = {
        "label": "Arm", "dataset": "Data set", "right": "Right", "contradicted": "Contradicted",
        "silent": "Neither", "reliable": "Right, of those that answer",
    }  # fmt: skip
    what = (
        "Answers to extractive questions. Right: states a reference answer; contradicted: does "
        "not, and the entailment model holds the answer to be contradicted by the context more "
        "than entailed (the measure `entailed` is below 0); neither: an answer to something else, "
        "or none. A fall of faithfulness may come from either of the last two"
    )
    return Table("outcomes", f"{what}. {note(results, rows)}", headers, rows)


def _row(results: Results, key: str, name: str) -> dict[str, Any]:
    stated, entailed = (results.grid(key, name, c) for c in ("states_answer", "entailed"))
    right = (stated == 1).astype(float)
    contradicted = ((stated < 1) & (entailed < 0)).astype(float)
    experiment, arm = key.split("/")
    answered = right + contradicted
    return {
        "experiment": experiment,
        "arm": arm,
        "label": results.labels[key],
        "dataset": name,
        "right": results.mean(right),
        "contradicted": results.mean(contradicted),
        "silent": results.mean(1 - answered),
        "reliable": results.ratio([right], [answered]),
    }
