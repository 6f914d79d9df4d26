"""Verdicts on claims."""

import pytest

from reproduce.bootstrap import Interval
from reproduce.evaluation.tables.verdicts import verdict
from reproduce.study import Study


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.01, 0.2, "above 0", "supported"),
        (0.01, 0.2, "below 0", "not supported"),
        (-0.2, -0.01, "below 0", "supported"),
        (-0.2, -0.01, "above 0", "not supported"),
        (-0.1, 0.1, "above 0", "undecided"),
        (0.0, 0.2, "above 0", "undecided"),  # touches 0
        (0.01, 0.07, "above 0", "undecided"),  # the mean is below the minimum effect
        (-0.04, 0.04, "above 0", "not supported"),  # the minimum effect is ruled out
        (-0.04, 0.04, "below 0", "not supported"),
        (-0.05, 0.05, "above 0", "undecided"),
    ],
)
def test_verdict(low: float, high: float, direction: str, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 10, 3), direction, 0.05) == expected


def test_every_difference_of_a_claim_has_a_row(table, study: Study) -> None:
    rows = table("claims")
    expected = [
        (claim.claim, difference.arm, difference.against, role)
        for claim in study.claims.claims.values()
        for role, group in (("primary", claim.primary), ("secondary", claim.secondary))
        for difference in group
    ]
    assert [(r["claim"], r["of"], r["minus"], r["role"]) for r in rows] == expected
    assert rows[0]["comparison"] == "(CD → IF) − CD"
    assert {row["verdict"] for row in rows} <= {"supported", "not supported", "undecided"}


def test_the_minimum_effect_depends_on_the_range_of_the_metric(table) -> None:
    minimum = {row["measure"]: row["smallest"] for row in table("claims")}
    both = "Mean of IF and faithfulness"
    assert minimum == {"Instruction following": "0.05", "Faithfulness": "0.1", both: "0.05"}


def test_a_claim_names_its_judges_and_the_score_of_the_base_model(table) -> None:
    (base,) = table("methods", arm="base")
    rows = {row["measure"]: row for row in table("claims")}
    assert rows["Instruction following"]["base"] == base["instruction"]
    judges = "entailed (answers-a, answers-b); summac (digests)"
    assert rows["Faithfulness"]["judge"] == judges
    assert rows["Instruction following"]["judge"] == "instruction_strict"
