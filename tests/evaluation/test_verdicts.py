"""Verdicts on claims, and predictions."""

from dataclasses import replace

import pytest

from reproduce.config import Claim, Claims, Difference
from reproduce.evaluation.results import Results
from reproduce.evaluation.tables.verdicts import (
    CLAIM_METRICS,
    claims,
    predictions,
    verdict,
)
from reproduce.intervals import Interval, holm
from reproduce.study import Study

VERDICTS = {"supported", "ruled out", "inconclusive", "depends on the metric", "not testable"}


@pytest.mark.parametrize(
    ("low", "high", "p", "direction", "expected"),
    [
        (0.01, 0.2, 0.03, "above 0", "supported"),
        (0.01, 0.2, 0.06, "above 0", "inconclusive"),  # not after the adjustment of p
        (0.01, 0.2, 0.03, "below 0", "ruled out"),
        (-0.2, -0.01, 0.03, "below 0", "supported"),
        (-0.2, -0.01, 0.03, "above 0", "ruled out"),
        (-0.1, 0.1, 1.0, "above 0", "inconclusive"),
        (0.01, 0.07, 0.01, "above 0", "inconclusive"),  # the mean is below the minimum effect
        (0.01, 0.04, 0.01, "above 0", "ruled out"),
        (-0.04, 0.04, 1.0, "below 0", "ruled out"),
        (-0.05, 0.05, 1.0, "above 0", "inconclusive"),
    ],
)
def test_verdict(low: float, high: float, p: float, direction: str, expected: str) -> None:
    interval = Interval((low + high) / 2, low, high, 10, 3)
    difference = Difference.model_validate(
        {"arm": "a", "against": "b", "metric": "both", "direction": direction}
    )
    assert verdict(interval, p, difference, 0.05, 0.95) == expected


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
    assert {row["verdict"] for row in rows} <= VERDICTS
    assert {row["smallest"] for row in rows} == {"0.05"}


def test_primary_p_values_are_adjusted_for_their_number_and_others_are_not(
    table, study: Study, results: Results
) -> None:
    raw: dict[str, list[float]] = {"primary": [], "secondary": []}
    differences = [d for c in study.claims.claims.values() for d in c.differences]
    rows = table("claims")
    for row, d in zip(rows, differences, strict=True):
        estimate = results.estimate(CLAIM_METRICS[d.metric], d.arm, d.against)
        assert estimate
        raw[row["role"]].append(estimate.interval.p)
    shown = {role: [float(row["p"]) for row in rows if row["role"] == role] for role in raw}
    assert shown["secondary"] == pytest.approx(raw["secondary"], abs=1e-6)
    assert shown["primary"] == pytest.approx(holm(raw["primary"]), abs=1e-6)


def test_a_claim_names_its_judges_and_the_score_of_the_base_model(table) -> None:
    (base,) = table("methods", arm="base")
    rows = {row["measure"]: row for row in table("claims")}
    assert rows["Instruction following"]["base"] == base["instruction"]
    judges = "entailed (answers-a, answers-b); summac (digests)"
    assert rows["Faithfulness"]["judge"] == judges
    assert rows["Instruction following"]["judge"] == "instruction_strict"


def claim(**parts: list[Difference]) -> Claims:
    primary = [difference("CD-IF", "CD", "below 0")]
    content = {"claim": "c", "source": "abstract", "label": "C"}
    tested = Claim.model_validate({**content, "primary": primary, **parts})
    return Claims.model_validate({"minimum_effect": 0.05, "claims": {"C1": tested}})


def difference(arm: str, against: str, direction: str) -> Difference:
    return Difference.model_validate(
        {"arm": arm, "against": against, "metric": "faithfulness", "direction": direction}
    )


def verdict_on(results: Results, tested: Claims) -> object:
    return claims(results, tested).rows[0]["verdict"]


def test_a_claim_is_not_testable_where_a_requirement_does_not_hold(results: Results) -> None:
    usual = verdict_on(results, claim())
    assert usual in VERDICTS - {"not testable"}
    met, unmet = difference("CD", "base", "above 0"), difference("base", "CD", "above 0")
    assert verdict_on(results, claim(requires=[met])) == usual
    assert verdict_on(results, claim(requires=[met, unmet])) == "not testable"
    missing = difference("elsewhere", "base", "above 0")
    assert verdict_on(results, claim(requires=[missing])).startswith("needs ")


def test_a_claim_on_which_both_metrics_disagree_depends_on_the_metric(results: Results) -> None:
    # By "faithful and answers" CD-IF is now always right and CD never.
    frames = {
        key: frame.assign(faithful_answer=float(key[0] == "CD-IF"))
        if key[0] in ("CD-IF", "CD") and key[2].startswith("answers") else frame
        for key, frame in results.frames.items()
    }  # fmt: skip
    (row,) = claims(replace(results, frames=frames), claim()).rows
    assert row["second"].interval.mean == 1.0  # type: ignore[union-attr]
    assert row["verdict"] == "depends on the metric"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "as predicted"),
        ({"expected": [0.5, 0.6]}, "open"),
        ({"refuted_below": None, "refuted_above": -0.9}, "refuted"),
        ({"refuted_below": 0.9}, "refuted"),
    ],
)
def test_a_prediction_is_compared_with_what_was_measured(
    results: Results, changes: dict, outcome: str
) -> None:
    prediction = results.study.predictions["P1"].model_copy(
        update={"expected": [-0.5, 0.5], **changes}
    )
    study = replace(results.study, predictions={"P1": prediction})
    (row,) = predictions(replace(results, study=study)).rows
    assert row["outcome"] == outcome


def test_a_prediction_on_arms_that_are_not_there_has_no_row(results: Results) -> None:
    prediction = results.study.predictions["P1"].model_copy(update={"arm": "elsewhere"})
    study = replace(results.study, predictions={"P1": prediction})
    assert predictions(replace(results, study=study)).rows == []
