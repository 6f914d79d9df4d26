"""The 7B profiles: resolved whole, labelled, alike but for the model, and rehearsed."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import rehearsal
import yaml

from reproduce.config import ConfigError, load_experiments, load_params, pins, refuse_unpinned

ROOT = Path(__file__).parent.parent
NAMES = ("llama-7b", "vicuna-7b")
LABELS = ("paper", "component", "ours")


@pytest.fixture(params=NAMES)
def profile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = ROOT / "profiles" / str(request.param)
    monkeypatch.chdir(folder)
    return folder


def test_the_profile_is_valid_and_shares_the_one_definition(profile: Path) -> None:
    params = load_params()
    assert params.profile == profile.name
    assert (profile / "experiments.yaml").resolve() == ROOT / "experiments.yaml"
    # It is linked where the profile is run: DVC reads every pipeline of a repository each time.
    assert not (profile / "dvc.yaml").exists()
    assert params.hardware.deepspeed and Path(params.hardware.deepspeed).is_file()
    assert load_experiments() == load_experiments(ROOT / "experiments.yaml")


def test_all_but_one_thing_of_a_hub_is_pinned(profile: Path) -> None:
    found = pins(load_params())
    assert len(found) == 9
    assert [place for place, (_, revision) in found.items() if not revision] == [
        "judging.published"
    ]
    with pytest.raises(ConfigError, match="`reproduce pin tals/albert-xlarge-vitaminc-mnli`"):
        refuse_unpinned(load_params())


def test_the_two_profiles_differ_in_the_model_alone() -> None:
    llama, vicuna = (
        yaml.safe_load((ROOT / "profiles" / name / "params.yaml").read_text(encoding="utf-8"))
        for name in NAMES
    )
    for params in (llama, vicuna):
        params.pop("profile")
        for key in ("model", "revision"):
            params["base"]["published"].pop(key)
    assert llama == vicuna


def test_each_block_bears_a_label() -> None:
    text = (ROOT / "profiles" / "llama-7b" / "params.yaml").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^#.*\n)*^[a-z]\w*:.*\n(?:^(?: .*)?\n)*", text, re.MULTILINE)
    found = {re.findall(r"^([a-z]\w*):", block, re.MULTILINE)[0]: block for block in blocks}
    assert {"seeds", "data", "base", "training", "candidates", "judging", "hardware"} <= set(found)
    for name in set(found) - {"profile", "package", "lock", "claims"}:
        assert re.search(rf"\b(?:{'|'.join(LABELS)})\b", found[name]), name


def resolved(folder: Path) -> dict[str, Any]:
    """Return stage -> deps and outs of a profile, with `foreach` carried out, as DVC sees it."""
    from dvc.repo import Repo

    stages = {}
    for stage in Repo(str(folder)).index.stages:
        if Path(stage.path).parent == folder:
            stages[stage.name] = {
                "cmd": stage.cmd,
                "deps": [Path(dep.fs_path) for dep in stage.deps if dep.is_in_repo],
                "outs": [Path(out.fs_path) for out in stage.outs],
            }
    return stages


def test_every_stage_resolves_and_its_inputs_are_somebodys_outputs(
    profile: Path, tmp_path: Path
) -> None:
    folder = rehearsal.repository(tmp_path, profile.name)
    shutil.copy(profile / "params.yaml", folder)
    stages = resolved(folder)
    arms = sum(map(len, load_experiments().values()))
    assert len(stages) == arms + 8
    made = [out for stage in stages.values() for out in stage["outs"]]
    assert len(made) == len(set(made))
    for name, stage in stages.items():
        assert stage["cmd"].startswith("reproduce "), name
        for dep in stage["deps"]:
            assert dep in made or dep.exists(), f"{name}: nobody makes {dep}"


@pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed compiles its CPU transport")
def test_a_rehearsal_goes_from_data_to_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    with rehearsal.judged() as judge:
        profile = rehearsal.rehearsal(tmp_path, judge.url)
        rehearsal.run(profile, "methods@ReSet")
    for name in ("base", "methods/MTL", "candidates", "scores", "methods/ReSet"):
        assert (profile / "artifacts" / name / "SHA256SUMS").is_file()
    losses = (profile / "artifacts" / "methods" / "MTL" / "seed-0" / "history.json").read_text()
    assert '"loss"' in losses
    # What a run needs to go on after it was stopped is gone once it is done.
    assert not list((profile / ".cache" / "training").glob("*"))
