"""experiments.yaml, alone and together with params.yaml."""

from pathlib import Path

import pytest
import yaml
from support.profiles import GONE, ROOT, Patch, change, config_error, default_profile

from reproduce.config import load_experiments, load_params, training_for
from reproduce.study import load_study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return default_profile(tmp_path)


@pytest.mark.parametrize(
    ("patch", "parts"),
    [
        (("arms.MTL.colour", "red"), ["arms.MTL.colour"]),
        (("arms.MTL.mixture", {"IF": 0}), ["arms.MTL.mixture.IF", "greater than 0"]),
        (("arms.MTL.mixture", {}), ["arms.MTL.mixture", "at least 1"]),
        (("arms.MTL.source", "scores"), ["arms.MTL.source", "scores"]),
        (("arms.MTL.source", "scores/MTL"), ["arms.MTL", "'select'"]),
        (("arms.MTL.interpolation", 0.5), ["arms.MTL", "'mixture'", "'interpolation'"]),
        (("arms.base.interpolation", 1), ["arms.base.interpolation", "less than 1"]),
        (("arms.MTL.flaws", 1.5), ["arms.MTL.flaws", "1"]),
        (("arms.MTL.start", "base"), ["arms.MTL.start", "'base'", "has a model"]),
        (("arms.IF.start", "IF-CD"), ["arms.IF.start", "'IF-CD'", "above"]),
        (("arms.MTL.num_intermediate_evals", -1), ["arms.MTL.num_intermediate_evals", "0"]),
        (("arms.MTL.experiment", "method"), ["arms.MTL.experiment", "methods"]),
        (("arms.ReSet.select.keep_fraction", 0), ["ReSet.select.keep_fraction", "greater than 0"]),
        (("arms.ReSet.select.candidates", 0), ["ReSet.select.candidates", "greater than"]),
        (("arms.ReSet.select.rule", "worst"), ["ReSet.select.rule", "repaired"]),
        (("arms.ReSet.select.noise", 1.1), ["ReSet.select.noise", "1"]),
        (("arms.ReSet.plain_text", True), ["arms.ReSet", "plain_text", "'mixture'"]),
        (("arms.ReSet.select.weights", {"task": -1}), ["weights.task", "0"]),
        (
            ("arms.ReSet.select.weights", {"task": 0, "faithfulness": 0, "instruction": 0}),
            ["ReSet.select.weights", "0"],
        ),
        (("arms.ReSet.source", "data/training"), ["arms.ReSet", "'scores/ARM'"]),
        (("arms.ReSet.mixture", {"IF": 1}), ["arms.ReSet", "'mixture'", "'select'"]),
        (("arms.ReSet.source", "scores/IF"), ["arms.ReSet.source", "scores/IF", "['MTL']"]),
        (("sampled", ["MTL", "base"]), ["sampled", "'base'"]),
        (("labels.ReSet", GONE), ["labels", "'ReSet'"]),
        (("labels.ReSet", "MTL"), ["labels", "'MTL'"]),
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
        (
            "experiments.yaml",
            [("arms.ReSet.select.candidates", 17)],
            ["arms.ReSet.select.candidates", "17", "16"],
        ),
        (
            "experiments.yaml",
            [("arms.clean.steps", 100)],
            ["claims.C4", "clean", "MTL-again", "780", "1020"],
        ),
        ("experiments.yaml", [("arms.IF.steps", 7)], ["claims.C3", "MTL", "IF", "680", "7"]),
        (
            "params.yaml",
            [("continuation.steps", GONE), ("continuation.epochs", 1)],
            ["claims.C4", "ReSet", "MTL-again", "'epochs'"],
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


@pytest.mark.parametrize("profile", ["core", "ablations"])
def test_an_arm_of_one_name_is_the_same_in_all_profiles_of_the_world(profile: str) -> None:
    one, other = (load_study(ROOT / folder) for folder in (".", f"profiles/{profile}"))
    common = one.arms.keys() & other.arms.keys()
    assert {"MTL", "ReSet"} <= common
    for name in common:
        assert other.arms[name] == one.arms[name], name
        assert other.labels[name] == one.labels[name], name
        assert training_for(other.params, other.arms[name]) == training_for(
            one.params, one.arms[name]
        )
        selections = [(study, study.arms[name].select) for study in (one, other)]
        pools = {
            s.candidates or sum(d.samples for d in study.params.candidates.strategies.values())
            for study, s in selections if s
        }  # fmt: skip
        assert len(pools) <= 1, f"{name} chooses from {pools} candidates"
    for part in ("data", "base", "generation", "judging", "validation", "statistics"):
        assert getattr(other.params, part) == getattr(one.params, part), part


def test_an_arm_may_have_its_own_steps_and_flaws() -> None:
    params, arms = (
        load_params(ROOT / "params.yaml"),
        load_experiments(ROOT / "experiments.yaml").arms,
    )
    changed = arms["MTL-again"].model_copy(update={"steps": 7, "flaws": 0.0})
    own, whole, usual = (
        training_for(params, arm) for arm in (changed, arms["MTL"], arms["MTL-again"])
    )
    assert (own.steps, own.flaws, own.learning_rate) == (7, 0.0, params.continuation.learning_rate)
    assert (usual.steps, usual.flaws) == (params.continuation.steps, params.training.flaws)
    assert whole == params.training
    by_epochs = params.model_copy(
        update={"training": params.training.model_copy(update={"steps": None, "epochs": 3})}
    )
    assert training_for(by_epochs, arms["MTL"]).epochs == 3
    own = training_for(by_epochs, changed)
    assert (own.epochs, own.steps) == (None, 7)


@pytest.mark.parametrize("name", ["ReSet.v2", "Re Set", "a/b", "-a", "7", "é", "", "a" * 61])
def test_names_that_dvc_cannot_address_are_rejected(folder: Path, name: str) -> None:
    content = yaml.safe_load((folder / "experiments.yaml").read_text())
    content["arms"][name] = content["arms"]["ReSet"]
    content["labels"][name] = "Another"
    (folder / "experiments.yaml").write_text(yaml.safe_dump(content))
    message = config_error(load_experiments)
    assert "arms" in message and name in message
