"""The differences in faithfulness that the claims are about, by every measure of a response."""

from collections.abc import Iterable

from reproduce.config import Claims, Difference
from reproduce.evaluation.results import (
    COVERAGE,
    FAITHFULNESS,
    K_PRECISION,
    ROUGE_L,
    STATES_ANSWER,
    TASK,
    TOKEN_F1,
    Results,
)
from reproduce.evaluation.tables.arms import note
from reproduce.evaluation.tables.claims import comparison
from reproduce.evaluation.tables.render import Table

SHOWN = (FAITHFULNESS, COVERAGE, K_PRECISION, STATES_ANSWER, TOKEN_F1, ROUGE_L)


def measures(results: Results, asked: Claims) -> Table:
    """Return a row a difference in faithfulness and data set, with the same difference by each.

    Data sets whose entailment carries no claim are there, too. A measure that the judges do not
    take of a kind of prompt has no cell.
    """
    rows = [
        {
            "comparison": comparison(results, each),
            "of": each.arm,
            "minus": each.against,
            "dataset": name,
            "carries": "yes" if name in results.carriers else "no",
        }
        | {
            measure.name: results.estimate(measure, each.arm, each.against, datasets=[name])
            for measure in SHOWN
        }
        for each in _differences(asked)
        for name in results.datasets(TASK)
    ]
    headers = {"comparison": "Difference", "dataset": "Data set", "carries": "Carries a claim"}
    headers |= {measure.name: measure.title for measure in SHOWN}
    deciding = "entailment" if results.lowest(FAITHFULNESS) < 0 else "words of the passage"
    headers[FAITHFULNESS.name] = f"By {deciding}"
    caption = (
        f"Differences in faithfulness that the claims are about, by {deciding}, which decides, and "
        "by what else is measured of the same responses. Coverage and K-precision are high where "
        "a response takes its words from the passage, whatever it says with them; the last three "
        "compare it with references. How far each tells right from wrong: the table `judges`. "
        f"{note(results, rows)}"
    )
    return Table("measures", caption, headers, rows)


def _differences(asked: Claims) -> Iterable[Difference]:
    """Return the differences in faithfulness of all claims, each pair of arms once."""
    found = [each for claim in asked.claims for each in claim.differences]
    faithful = [each for each in found if each.measure == FAITHFULNESS.name]
    return {(each.arm, each.against): each for each in faithful}.values()
