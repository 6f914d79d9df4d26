"""Tables of wrong answers against plain counts."""

import pytest

from reproduce.evaluation.results import Results


def test_an_answer_is_right_contradicted_or_neither(table, final) -> None:
    details = [r.judgement.details for r in final("MTL", "answers-a")]
    (row,) = table("outcomes", arm="MTL", dataset="answers-a")
    right = sum(d["states_answer"] == 1 for d in details)
    contradicted = sum(d["states_answer"] < 1 and d["entailed"] < 0 for d in details)
    assert min(right, contradicted) > 0
    assert float(row["right"]) == pytest.approx(right / len(details), abs=1e-6)
    assert float(row["contradicted"]) == pytest.approx(contradicted / len(details), abs=1e-6)
    shares = [float(row[name]) for name in ("right", "contradicted", "silent")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert float(row["reliable"]) == pytest.approx(right / (right + contradicted), abs=1e-6)


def test_memorised_errors_are_wrong_answers_that_state_the_parametric_answer(
    table, results: Results, final
) -> None:
    asked = {e.id: e for name in ("answers-a", "answers-b") for e in results.sets[name]}
    responses = final("MTL", "answers-a", "answers-b")
    wrong = [r for r in responses if not r.judgement.details["exact_match"]]
    memorised = [r for r in wrong if r.response == asked[r.example].parametric_answer]
    (row,) = table("memorised-errors", arm="MTL")
    assert (int(row["answers"]), int(row["wrong"])) == (len(responses), len(wrong))
    assert float(row["remembered"]) == pytest.approx(len(memorised) / len(wrong), abs=1e-6)
    # Five shapes and three hues: one of four or of two other values.
    assert 1 / 4 < float(row["chance"]) < 1 / 2
    assert row["probe:probe-a"] and row["probe:probe-b"]
