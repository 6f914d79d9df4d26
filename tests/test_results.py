"""What a study must have for its tables and figures, and shares taken over all its data sets."""

from typing import Any

import numpy as np
import pytest
import synthetic

from reproduce.config import ConfigError
from reproduce.evaluation.results import RESET, RESET_S, Results, refuse_incomplete


def test_a_study_that_has_all_is_let_through() -> None:
    refuse_incomplete(synthetic.all_arms())


def test_an_arm_that_is_needed_and_not_there_is_named() -> None:
    arms = {name: found for name, found in synthetic.all_arms().items() if name != "methods"}
    with pytest.raises(ConfigError, match="need an arm 'methods/MTL'"):
        refuse_incomplete(arms)


def test_an_arm_that_is_drawn_on_its_way_must_be_evaluated_there() -> None:
    arms = synthetic.all_arms()
    found = arms["two-stage"]["CD-IF"]
    arms["two-stage"]["CD-IF"] = found.model_copy(update={"trajectory": 0})
    with pytest.raises(ConfigError, match="'two-stage/CD-IF' is drawn on its way"):
        refuse_incomplete(arms)


def test_an_arm_beside_neither_method_is_named() -> None:
    arms = synthetic.all_arms()
    found = arms["data-size"]["ReSet-11"]
    assert found.select
    half = found.select.model_copy(update={"candidates": 0.5})
    arms["data-size"]["ReSet-11"] = found.model_copy(update={"select": half})
    shares = [arms["methods"][key.split("/")[1]].select for key in (RESET, RESET_S)]
    assert [share.candidates for share in shares if share] == [0.25, None]
    with pytest.raises(
        ConfigError, match=r"from 0\.5 .* neither ReSet \(0\.25\) nor ReSet-S \(None"
    ):
        refuse_incomplete(arms)


def test_a_share_is_of_all_cases_together() -> None:
    hits: list[Any] = [np.array([[1.0, 0.0]]), np.array([[2.0]])]
    cases: list[Any] = [np.array([[2.0, 0.0]]), np.array([[2.0]])]
    results = Results(
        {}, {}, {}, None, None, None, (0,), synthetic.small_params().statistics, {}, {}
    )
    found = results.ratio(hits, cases)
    assert found and found.interval.mean == 3 / 4
    assert results.ratio(hits, [0 * each for each in cases]) is None
    assert results.ratio([], []) is None
