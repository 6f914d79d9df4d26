"""Whether the runs were sound: empty and unscored responses, rows lost, training losses."""

from typing import Any

from reproduce.results import Results
from reproduce.tables.render import Table

Row = dict[str, Any]


def health(results: Results) -> Table:
    """Return, an arm a row, what was lost in its evaluation and how its training went."""
    rows = [_row(results, key) for key in results.arms]
    headers = {
        "label": "Arm", "responses": "Responses", "empty": "Empty", "unscored": "Unscored",
        "examples": "Training examples", "too_long": "Too long", "first_loss": "First loss",
        "last_loss": "Last loss",
    }  # fmt: skip
    if results.rated:
        headers |= {"rated": "Rated", "unrated": "Rating unreadable"}
    seeds = ", ".join(map(str, results.seeds))
    caption = (
        f"Soundness of every arm, seeds {seeds} together: evaluated responses, the share that is "
        "empty, those to which a judge that applies gave no score, training examples (a mean over "
        "seeds), those left out of training as too long (a sum), and the mean of the first and "
        "last logged training loss."
    )
    if results.rated:
        caption += " Rated are the responses that the served judge was asked about."
    return Table("health", caption, headers, rows)


def losses(results: Results) -> list[Row]:
    """Return every logged training loss, a row a step."""
    columns = ["experiment", "arm", "label", "seed", "step", "loss", "learning_rate"]
    return [dict(row) for row in results.losses[columns].to_dict("records")]


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
        "unscored": int(lost.sum()),
        "examples": results.examples(key) or None,
        "too_long": int(training["too_long"].sum()) if len(training) else None,
        "first_loss": _mean_loss(steps, "first"),
        "last_loss": _mean_loss(steps, "last"),
        **(ratings if results.rated else {}),
    }


def _mean_loss(steps: Any, which: str) -> float | None:
    if not len(steps):
        return None
    ordered = steps.sort_values(["seed", "step"], kind="stable").groupby("seed")["loss"]
    return float(getattr(ordered, which)().mean())
