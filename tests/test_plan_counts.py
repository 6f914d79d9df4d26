"""What each stage does, counted from the configuration as the code that runs draws it."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
from plans import ROOT, arms, profile

from reproduce.config import Arm, HubData, Params, by_key, load_params
from reproduce.config.data import Data
from reproduce.data.mixture import mix
from reproduce.planning.plan.counts import Sampling, data_sets, mixed, works
from reproduce.reset.select import selected_examples
from reproduce.schema import Example
from reproduce.training.sampler import steps_in

NANO = ROOT / "tests" / "nano" / "params.yaml"


def written(params: Params, experiments: dict[str, dict[str, Arm]]) -> dict[str, int]:
    """Return arm -> training examples as the code that runs draws them."""
    sets = data_sets(params.data)
    kinds: dict[str, Any] = {"CD": "extractive", "IF": "instruction"}
    data = {
        name: [Example(name, kinds[each.side], f"{name} {n}", "yes") for n in range(each.train)]
        for name, each in sets.items() if each.train
    }  # fmt: skip
    seen = mix(data, by_key(experiments)["methods/MTL"].mixture or {}, 0)
    prompts = [
        e for name in sorted(data)
        for e in [x for x in seen if x.dataset == name][: params.candidates.prompts]
    ]  # fmt: skip
    rows = [
        {"dataset": e.dataset, "example": e.id, "strategy": name, "sample": n, "response": "x",
         "ended": True,
         "task": 1.0, "faithfulness": None, "instruction": None}
        for e in prompts
        for name, decoding in params.candidates.strategies.items()
        for n in range(decoding.samples)
    ]  # fmt: skip
    return {
        name: len(mix(data, arm.mixture, 0)) if arm.mixture is not None
        else len(selected_examples(prompts, rows, arm.select, 0)) if arm.select else 0
        for name, arm in by_key(experiments).items()
    }  # fmt: skip


@pytest.mark.parametrize("path", [ROOT / "params.yaml", NANO, *ROOT.glob("profiles/*/params.yaml")],
                         ids=lambda path: path.parent.name)  # fmt: skip
def test_arms_train_on_as_many_examples_as_the_study_draws(path: Path) -> None:
    params = small(_loaded(path))
    found = {work.stage: work.examples for work in works(params, arms())}
    expected = written(params, arms())
    assert {name: found[name] for name in expected} == expected


def small(params: Params) -> Params:
    """Return a profile with fewer examples, where it has thousands."""
    if not params.data.hub:
        return params
    told = params.model_dump()
    told["candidates"]["prompts"] = 17
    for each in told["data"]["hub"]["sets"].values():
        each["counts"] = {part: 47 for part in each["counts"]}
    return Params.model_validate(told)


def _loaded(path: Path) -> Params:
    """Return a profile whose file names others relative to its folder."""
    before = Path.cwd()
    os.chdir(path.parent if path != NANO else ROOT)
    try:
        return load_params(path)
    finally:
        os.chdir(before)


def test_counts_of_the_default_study_by_hand() -> None:
    params = load_params(ROOT / "params.yaml")
    found = {work.stage: work for work in works(params, arms())}
    assert found["methods/MTL"].examples == 6 * 300
    assert found["methods/ReSet"].examples == 6 * 135
    assert found["data-size/ReSet-11"].examples == 6 * math.ceil(0.1125 * 150)
    assert found["two-stage/IF-CD1"].examples == 300
    assert found["methods/ReSet"].steps == steps_in(810, params.training) / 3 == 51
    assert found["two-stage/base"].steps == found["two-stage/base"].saved == 0
    assert found["two-stage/IF"].sampling == (Sampling(9 * 80),) * 3
    assert found["two-stage/IF"].faithful == 3 * 3 * 6 * 80
    assert found["candidates"].sampling == (Sampling(900, 4),) * 4
    assert found["score"].faithful == 3 * 16 * 450
    assert found["base"].examples == 50000 and found["base"].pretrains
    assert found["base"].runs == 3
    assert {work.stage: work for work in works(profile(), arms())}["base"].runs == 1
    assert not any(work.ratings for work in found.values())


def test_a_served_judge_rates_open_ended_responses_once_each() -> None:
    found = {work.stage: work.ratings for work in works(profile(), arms())}
    assert found["two-stage/IF"] == 3 * 3 * 3 * 80
    assert found["methods/ReSet"] == 3 * 3 * 80
    assert found["score"] == 3 * 16 * 450
    assert found["entailment"] == 2 * 3 * 80
    assert found["candidates"] == found["tables"] == 0


def test_no_more_models_are_evaluated_than_a_run_has_steps() -> None:
    params = profile(training__epochs=0.01)
    found = {work.stage: work for work in works(params, arms())}
    assert found["two-stage/IF"].steps == 1 and found["two-stage/IF"].stops == 0


def test_sets_of_a_hub_have_the_side_of_their_layout() -> None:
    each: dict[str, Any] = {"repo": str(ROOT), "counts": {"train": 7, "evaluation": 2},
                            "train": "a", "evaluation": "b"}  # fmt: skip
    layouts = {"x": "alpaca", "y": "mrqa-nq"}
    sets = {name: {**each, "layout": layout} for name, layout in layouts.items()}
    found = data_sets(Data(seed=0, hub=HubData.model_validate({"sets": sets})))
    assert [(each.side, each.train, each.evaluation) for each in found.values()] == [
        ("IF", 7, 2), ("CD", 7, 2),
    ]  # fmt: skip


def test_parts_that_share_a_set_never_exceed_it() -> None:
    sets = data_sets(load_params(ROOT / "params.yaml").data)
    assert mixed({"IF": 0.7, "lists": 0.7}, sets)["lists"] == 600
    assert sum(mixed({"CD/2": 0.5}, sets).values()) == 300
