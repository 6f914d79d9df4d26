"""experiments.yaml, alone and together with params.yaml."""

from pathlib import Path

import pytest
import yaml
from support.profiles import GONE, ROOT, Patch, change, config_error, default_profile

from reproduce.config import load_experiments, load_params
from reproduce.data.mixture import mix
from reproduce.schema import Example
from reproduce.study import load_study
from reproduce.world.tasks import TASKS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return default_profile(tmp_path)


@pytest.mark.parametrize(
    ("patch", "parts"),
    [
        (("arms.MTL.colour", "red"), ["arms.MTL.colour"]),
        (("arms.MTL.mixture", {"IF": 0}), ["arms.MTL.mixture.IF", "greater than 0"]),
        (("arms.MTL.mixture", {"IF": 1.5}), ["arms.MTL.mixture.IF", "1"]),
        (("arms.MTL.mixture", {}), ["arms.MTL.mixture", "at least 1"]),
        (("arms.MTL.source", "scores"), ["arms.MTL", "'select'"]),
        (("arms.MTL.start", "base"), ["arms.MTL.start", "'base' trains nothing"]),
        (("arms.MTL.start", "MTL"), ["arms.MTL.start", "circular"]),
        (("arms.IF.start", "IF-CD"), ["start", "circular"]),
        (("arms.MTL.num_intermediate_evals", -1), ["arms.MTL.num_intermediate_evals", "0"]),
        (("arms.MTL.experiment", "method"), ["arms.MTL.experiment", "methods"]),
        (("arms.ReSet.select.keep_fraction", 0), ["ReSet.select.keep_fraction", "greater than 0"]),
        (("arms.ReSet.select.keep_fraction", GONE), ["ReSet.select.keep_fraction"]),
        (("arms.ReSet.select.pool_fraction", 0), ["ReSet.select.pool_fraction", "greater than 0"]),
        (("arms.ReSet.select.rule", "worst"), ["ReSet.select.rule", "shuffled"]),
        (("arms.ReSet.select.strategies", []), ["ReSet.select.strategies"]),
        (("arms.ReSet.select.strategies", ["warm", "warm"]), ["ReSet.select", "warm"]),
        (("arms.ReSet.select.weights", {"task": -1}), ["weights.task", "0"]),
        (("arms.ReSet.select.weights", {"task": float("inf")}), ["weights.task"]),
        (
            ("arms.ReSet.select.weights", {"task": 0, "faithfulness": 0, "instruction": 0}),
            ["ReSet.select.weights", "0"],
        ),
        (("arms.ReSet.source", "data/training"), ["arms.ReSet", "'scores'"]),
        (("arms.ReSet.mixture", {"IF": 1}), ["arms.ReSet", "not on both"]),
        (("arms.ReSet.start", "MLT"), ["arms.ReSet.start", "'MLT'"]),
        (("labels.ReSet", GONE), ["labels", "'ReSet'"]),
        (("labels.ReSet", "MTL"), ["labels", "'MTL'"]),
        (("labels.ReSet", "重置法 🙂"), ["labels.ReSet", "重", "🙂"]),
        (("labels.ReSet", "Re\tSet"), ["labels.ReSet"]),
        (("labels.ReSet", "ReSet\u202e"), ["labels.ReSet"]),
    ],
)
def test_wrong_arms_are_rejected(folder: Path, patch: Patch, parts: list[str]) -> None:
    change(folder / "experiments.yaml", patch)
    message = config_error(load_experiments)
    for part in ["experiments.yaml", *parts]:
        assert part in message


@pytest.mark.parametrize(
    ("file", "patches", "parts"),
    [
        ("experiments.yaml", [("arms.MTL.mixture", {"IFF": 0.5})], ["arms.MTL", "'IFF'"]),
        ("experiments.yaml", [("arms.MTL.mixture", {"IF/4": 1})], ["arms.MTL", "IF/4"]),
        (
            "experiments.yaml",
            [("arms.ReSet.select.strategies", ["cold", "beam"])],
            ["arms.ReSet.select.strategies", "'beam'", "['cold', 'top-k', 'top-p', 'warm']"],
        ),
        (
            "experiments.yaml",
            [("arms.ReSet.select.strategies", ["cold"]), ("arms.ReSet.select.pool_fraction", 0.3)],
            ["arms.ReSet.select.pool_fraction", "0.3", "16", "4"],
        ),
        (
            "params.yaml",
            [("data.world", GONE), ("data.real", {"sets": {"squid": {"train": 1}}})],
            ["data.real.sets", "squid", "squad"],
        ),
        (
            "params.yaml",
            [("data.world", GONE), ("data.real", {"sets": {"squad": {"trian": 1}}})],
            ["data.real.sets", "trian", "context_words"],
        ),
    ],
)
def test_what_does_not_fit_together_is_rejected(
    folder: Path, file: str, patches: list[Patch], parts: list[str]
) -> None:
    change(folder / file, *patches)
    message = config_error(load_study)
    for part in parts:
        assert part in message


def test_every_arm_can_be_trained_on_the_synthetic_task() -> None:
    params, arms = (
        load_params(ROOT / "params.yaml"),
        load_experiments(ROOT / "experiments.yaml").arms,
    )
    assert params.data.world
    kinds = {"qa-single": "extractive", "qa-pair": "extractive", "describe": "abstractive"}
    sets = {
        name: [
            Example(name, kinds.get(name, "instruction"), f"{number}", "")
            for number in range(params.data.world.train)
        ]
        for name in TASKS
    }
    for arm in arms.values():
        if arm.mixture:
            assert len(mix(sets, arm.mixture, 0)) >= params.training.batch_size
        if arm.select:
            assert arm.select.keep_fraction * params.candidates.prompts >= 1


def test_arms_of_single_data_sets_are_labelled_by_them() -> None:
    experiments = load_experiments(ROOT / "experiments.yaml")
    for name, arm in experiments.arms.items():
        if arm.experiment == "two-stage":
            single = any("/" in part for part in arm.mixture or {})
            assert ("{sets}" in experiments.labels[name]) == single


@pytest.mark.parametrize("name", ["ReSet.v2", "Re Set", "a/b", "-a", "1e3", "7", "é", "", "a" * 61])
def test_names_that_dvc_cannot_address_are_rejected(folder: Path, name: str) -> None:
    content = yaml.safe_load((folder / "experiments.yaml").read_text())
    content["arms"][name] = content["arms"]["ReSet"]
    content["labels"][name] = "Another"
    (folder / "experiments.yaml").write_text(yaml.safe_dump(content))
    message = config_error(load_experiments)
    assert "arms" in message and name in message
