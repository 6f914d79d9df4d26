"""How well a metric tells right from wrong, and which metric is valid."""

import pytest
from support.profiles import nano_params

from reproduce.schema import JudgedTrial, Judgement
from reproduce.utils.files import UserError
from reproduce.validation.auc import VALID, auc, faithfulness_auc, valid_datasets, validity


def trial(dataset: str, example: str, variant: str, score: float) -> JudgedTrial:
    judgement = Judgement(None, score, None, {"entailed": score, "coverage": 1 - score})
    return JudgedTrial(dataset, "extractive", example, variant, "text", judgement)


def trials(dataset: str, right: list[float], wrong: list[float]) -> list[JudgedTrial]:
    return [
        trial(dataset, f"e{number}", variant, score)
        for variant, scores in (("right", right), ("same passage", wrong))
        for number, score in enumerate(scores)
    ]


def test_the_auc_is_over_examples_with_both_responses() -> None:
    judged = trials("a", [1.0, 0.0, 1.0], [0.0, 0.5]) + trials("b", [1.0], [0.0])
    settings = nano_params().statistics
    interval = auc(judged, "a", "entailed", "same passage", settings)
    # Pairs: 1 > 0, 1 > 0.5, 0 = 0, 0 < 0.5.
    assert interval and (interval.mean, interval.prompts) == (2.5 / 4, 2)
    coverage = auc(judged, "a", "coverage", "same passage", settings)
    assert coverage and coverage.mean == 1.5 / 4
    assert auc(judged, "a", "entailed", "negated", settings) is None
    assert auc(judged, "a", "rouge_l", "same passage", settings) is None


def test_a_metric_is_valid_with_enough_trials_and_auc() -> None:
    params = nano_params(validation__trials=40, validation__min_trials=15, validation__min_auc=0.75)
    judged = (
        trials("good", [1.0] * 20, [0.0] * 20)
        + trials("blind", [1.0] * 20, [1.0] * 20)
        + trials("few", [1.0] * 10, [0.0] * 10)
        + trials("unsure", [1.0] * 20, [0.0] * 12 + [1.0] * 8)
    )
    areas = faithfulness_auc(judged, params)
    results = {name: validity(interval, params) for name, interval in areas.items()}
    assert results["good"] == VALID and "0.75" in results["blind"] and "15" in results["few"]
    # The area is high enough, the lower end of its interval is not.
    unsure = areas["unsure"]
    assert unsure and unsure.low < 0.75 < unsure.mean and results["unsure"] == results["blind"]
    assert valid_datasets(judged, params) == ["good"]
    with pytest.raises(UserError, match="blind"):
        valid_datasets([t for t in judged if t.dataset != "good"], params)
