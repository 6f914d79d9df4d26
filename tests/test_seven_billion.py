"""The 7B profiles: resolved whole, labelled, alike but for the model, and rehearsed."""

import re
import shutil
import subprocess
from contextlib import nullcontext
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
    committed = subprocess.run(["git", "ls-files", "dvc.yaml"], capture_output=True, text=True)
    assert not committed.stdout
    assert params.hardware.deepspeed and Path(params.hardware.deepspeed).is_file()
    assert load_experiments() == load_experiments(ROOT / "experiments.yaml")


def test_all_but_one_thing_of_a_hub_is_pinned(profile: Path) -> None:
    found = pins(load_params())
    assert len(found) == 9
    loose = [place for place, (_, revision) in found.items() if not revision]
    assert loose in ([], ["judging.published"])  # The last is pinned as the page says.
    refusal = pytest.raises(ConfigError, match="`reproduce pin tals/albert-xlarge-vitaminc-mnli`")
    with refusal if loose else nullcontext():
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
        params["judging"]["published"].pop("revision", None)  # One may be pinned before the other.
    assert llama == vicuna


def unlabelled(text: str) -> list[str]:
    """Return the parameters that bear no label: beside them, above them, or above their block."""
    label = re.compile(rf"#.*\b(?:{'|'.join(LABELS)})\b")
    blocks: list[tuple[int, bool]] = []
    above, found = False, []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("#"):
            above = above or bool(label.search(line))
            continue
        key = re.match(r" *([\w-]+):(.*)", line)
        while blocks and blocks[-1][0] >= indent:
            blocks.pop()
        if key:
            marked = above or bool(label.search(line)) or any(told for _, told in blocks)
            blocks.append((indent, marked))
            if key[2].split("#")[0].strip() and not marked:
                found.append(key[1])
        above = False
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_parameter_bears_a_label(name: str) -> None:
    text = (ROOT / "profiles" / name / "params.yaml").read_text(encoding="utf-8")
    # The head of the file explains the labels, which counts for the first.
    assert unlabelled(text) == ["package", "lock", "claims"]
    assert "gamma" in unlabelled(text + "\nbeta:\n  gamma: 1\n")


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


def test_the_report_of_the_rehearsal_is_of_this_profile(tmp_path: Path) -> None:
    made = rehearsal.rehearsal(tmp_path, "http://127.0.0.1:1/v1")
    kept = (ROOT / "docs" / "rehearsal.md").read_text(encoding="utf-8")
    told = "\n".join(rehearsal.differences(made))
    assert told.count("\n") > 30
    assert kept.endswith(f"{told}\n"), "run `python tests/rehearsal.py FOLDER > docs/rehearsal.md`"
