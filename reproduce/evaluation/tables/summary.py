"""A table of the arms that are there, finished study or not, and some of their responses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reproduce.config import Claims, Difference, Params
from reproduce.evaluation.results import MEASURES, Arms, Results, load
from reproduce.evaluation.tables.arms import note
from reproduce.evaluation.tables.claims import claims
from reproduce.evaluation.tables.render import Table, markdown, write_table
from reproduce.evaluation.tables.samples import samples
from reproduce.utils.files import replacing, write_text


def write_summary(
    params: Params, experiments: Arms, asked: Claims, artifacts: Path, target: Path, count: int
) -> str:
    """Write the summary tables and `count` responses a data set; return the tables' Markdown.

    What the arms that are there say of the claims is one of the tables.
    """
    results = load(artifacts, experiments, params)
    tables = [summary(results), by_set(results)]
    if decidable := _decidable(asked, results):
        tables.append(claims(results, decidable))
    tables = [replace(table, origin="`reproduce summary`") for table in tables]
    with replacing(target) as draft:
        draft.mkdir()
        for table in tables:
            write_table(table, draft)
        write_text(draft / "samples.md", samples(results, list(results.arms), count))
    return "\n".join(markdown(table) for table in tables)


def _decidable(asked: Claims, results: Results) -> Claims | None:
    """Return the claims with the differences whose arms are there; None where there is none."""

    def there(differences: Sequence[Difference]) -> list[Difference]:
        return [d for d in differences if {d.arm, d.against} <= results.arms.keys()]

    found = [
        claim.model_copy(update={"decided_by": some, "shown_too": there(claim.shown_too)})
        for claim in asked.claims
        if (some := there(claim.decided_by))
    ]
    return asked.model_copy(update={"claims": found}) if found else None


def summary(results: Results) -> Table:
    """Return every measure of every arm that was loaded."""
    shown = [m for m in MEASURES if results.datasets(m)]
    rows = [
        {"label": results.labels[key], **{m.name: results.estimate(m, key) for m in shown}}
        for key in results.arms
    ]
    headers = {"label": "Arm", **{m.name: m.title for m in shown}}
    return Table("summary", f"What is there so far. {note(results, rows)}", headers, rows)


def by_set(results: Results) -> Table:
    """Return the objectives of every arm that was loaded, data set by data set."""
    rows = []
    for key in results.arms:
        for name in results.sets:
            applying = [m for m in MEASURES[:3] if name in results.datasets(m)]
            found = {m.name: results.estimate(m, key, datasets=[name]) for m in applying}
            cells = {m.name: found.get(m.name) for m in MEASURES[:3]}
            if applying:
                rows.append({"label": results.labels[key], "dataset": name, **cells})
    headers = {"label": "Arm", "dataset": "Data set", **{m.name: m.title for m in MEASURES[:3]}}
    return Table("summary-by-set", f"By data set. {note(results, rows)}", headers, rows)
