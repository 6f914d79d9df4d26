"""Whether the runs were sound: empty and unscored responses, rows lost, training losses."""

from typing import Any

from reproduce.evaluation.results import Results
from reproduce.evaluation.tables.render import Table
from reproduce.utils.formatting import numbered

Row = dict[str, Any]

TENTHS = 10


def health(results: Results) -> Table:
    """Return, an arm a row, what was lost in its evaluation and how its training went."""
    rows = [_row(results, key) for key in results.arms]
    headers = {
        "label": "Arm", "responses": "Responses", "empty": "Empty", "cut": "Cut",
        "words": "Words (IF)",
        "unscored": "Unscored",
        "examples": "Training examples", "too_long": "Too long", "first_loss": "First loss",
        "last_loss": "Last loss",
    }  # fmt: skip
    if results.rated:
        headers |= {"rated": "Rated", "unrated": "Rating unreadable"}
    caption = (
        f"Soundness of every arm ({numbered(results.seeds)}): evaluated responses, the "
        "share that is empty, and that which the limit on new tokens cut off (continuations of "
        "plain text aside, which have no end); the words of a response to an IF prompt (a median); "
        "the responses to which a judge that applies gave no score; training examples (a mean over "
        "seeds), those left out of training as too long (a sum), and the training loss, as a mean "
        "over the first and over the last tenth of its steps (single ones differ: batches hold "
        "examples of like length)."
    )
    if results.rated:
        caption += " Rated are the responses that the served judge was asked about."
    return Table("health", caption, headers, rows)


def losses(results: Results) -> list[Row]:
    """Return every logged training loss, a row a step."""
    columns = ["experiment", "arm", "label", "seed", "step", "loss", "learning_rate"]
    rows = results.losses[columns].to_dict("records")
    return [{**row, "learning_rate": f"{row['learning_rate']:.6g}"} for row in rows]


def _row(results: Results, key: str) -> Row:
    scores, training, steps = (
        frame[frame["key"] == key] for frame in (results.scores, results.training, results.losses)
    )
    final = scores[scores["progress"] == 1.0]
    context = final["side"] == "CD"
    # The task judge applies where the example has references, as CD examples must.
    lost = (context & final[["task", "faithfulness"]].isna().any(axis=1)) | (
        ~context & final["instruction"].isna()
    )
    experiment, arm = key.split("/")
    asked = final[final["unrated"].notna() & (final["empty"] == 0)]
    ratings = {"rated": len(asked), "unrated": int(asked["unrated"].sum())}
    return {
        "experiment": experiment,
        "arm": arm,
        "label": results.labels[key],
        "responses": len(final),
        "empty": float(final["empty"].mean()),
        "cut": 1 - float(final["ended"].mean()),
        "words": f"{final[~context]['response'].str.split().str.len().median():g}",
        "unscored": int(lost.sum()),
        "examples": results.examples(key) or None,
        "too_long": int(training["too_long"].sum()) if len(training) else None,
        "first_loss": _mean_loss(steps, first=True),
        "last_loss": _mean_loss(steps, first=False),
        **(ratings if results.rated else {}),
    }


def _mean_loss(steps: Any, first: bool) -> float | None:
    """Return the mean over seeds of the mean loss in the first, or last, tenth of the steps."""
    if not len(steps):
        return None
    runs = [run.sort_values("step", kind="stable")["loss"] for _, run in steps.groupby("seed")]
    tenths = [max(1, len(run) // TENTHS) for run in runs]
    cuts = [run[:n] if first else run[-n:] for run, n in zip(runs, tenths, strict=True)]
    return float(sum(cut.mean() for cut in cuts) / len(cuts))
