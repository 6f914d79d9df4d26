"""The table of the claims on faithfulness by other measures, against plain loops."""

import pytest
import synthetic

from reproduce.evaluation.results import Results, load
from reproduce.evaluation.tables.measures import measures

CLAIMS = synthetic.all_claims()


@pytest.fixture
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    study = synthetic.shared_study(tmp_path_factory.getbasetemp()) / "artifacts"
    return load(study, synthetic.all_arms(), synthetic.small_params())


def test_there_is_a_row_for_each_difference_in_faithfulness_and_data_set(results: Results) -> None:
    rows = measures(results, CLAIMS).rows
    asked = {
        (each.arm, each.against)
        for claim in CLAIMS.claims
        for each in (*claim.decided_by, *claim.shown_too)
        if each.measure == "faithfulness"
    }
    found = [(row["of"], row["minus"], row["dataset"]) for row in rows]
    sets = {name for name, e in results.sets.items() if e[0].side == "CD" and not e[0].probe}
    assert len(found) == len(set(found)) == len(asked) * len(sets)
    assert {(of, minus) for of, minus, _ in found} == asked
    assert rows[0]["comparison"] == "(CD → IF) − CD"


def test_a_cell_is_the_mean_difference_of_a_score_on_one_set(results: Results) -> None:
    columns = {"coverage": "extractive", "token_f1": "extractive", "k_precision": "abstractive"}
    for row in measures(results, CLAIMS).rows:
        frames = [results.frame(row[key], row["dataset"]) for key in ("of", "minus")]
        for column, kind in columns.items():
            if results.sets[row["dataset"]][0].kind == kind:
                pairs = list(zip(*(frame[column] for frame in frames), strict=True))
                expected = sum(a - b for a, b in pairs) / len(pairs)
                assert row[column].difference
                assert row[column].interval.mean == pytest.approx(expected)


def test_what_is_not_measured_of_a_kind_of_prompt_has_no_cell(results: Results) -> None:
    for row in measures(results, CLAIMS).rows:
        extractive = results.sets[row["dataset"]][0].kind == "extractive"
        assert (row["rouge_l"] is None) == extractive
        assert (row["states_answer"] is None) == (not extractive)
        assert row["carries"] == ("yes" if row["dataset"] in results.carriers else "no")
