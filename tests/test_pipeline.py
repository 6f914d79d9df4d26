"""The whole pipeline on a nano world: as a user runs it, with DVC, from an empty folder."""

import contextlib
import glob
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
import test_readme
import yaml
from nano_study import DVC, copy_repository, dvc, environment, reproduce

from reproduce.config import load_experiments, load_params

LOOKS = {
    ("dvc", "dag"), ("dvc", "stage"), ("reproduce", "check"),
    ("reproduce", "summary"),
}  # fmt: skip


def ran(output: str) -> list[str]:
    prefix = "Running stage '"
    lines = [line for line in output.splitlines() if line.startswith(prefix)]
    return [line.removeprefix(prefix).split("'")[0] for line in lines]


def outputs(folder: Path) -> dict[str, str]:
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    copy_repository(folder)
    dvc(folder, "repro")
    return folder


def test_every_stage_leaves_its_outputs(study: Path) -> None:
    made = outputs(study)
    assert len(made) == 53
    assert all((study / path).exists() for path in made)
    assert (study / "mlflow.db").exists()
    for name in ("two-stage", "methods", "data-size", "drivers", "controls", "mechanism", "claims"):
        for ending in ("csv", "md", "tex"):
            assert (study / "paper" / "tables" / f"{name}.{ending}").stat().st_size
    assert (study / "paper" / "figures" / "trade-off.png").stat().st_size


def test_at_most_sixty_stages(study: Path) -> None:
    assert len(dvc(study, "stage", "list", "--name-only").split()) <= 60


def test_a_second_repro_runs_nothing(study: Path) -> None:
    assert ran(dvc(study, "repro")) == []


def test_what_the_readme_offers_works_where_the_study_is(study: Path) -> None:
    """The commands that only look; those that make something have tests of their own."""
    offered = [words for document, words in test_readme.FOUND if document == "README.md"]
    looks = {tuple(words) for words in offered if tuple(words[:2]) in LOOKS}
    assert {words[:2] for words in looks} == LOOKS
    for tool, *rest in sorted(looks):
        if tool == "dvc":
            assert dvc(study, *rest)
        else:
            done = reproduce(study, *rest)
            assert done.returncode == 0 and done.stdout, done.stderr
    targets = {word for words in offered if words[:2] == ["dvc", "repro"] for word in words[2:]}
    assert len(targets) > 5 and ran(dvc(study, "repro", *sorted(targets))) == []


def test_a_changed_arm_reruns_itself_and_what_depends_on_it(study: Path) -> None:
    path = study / "experiments.yaml"
    text = path.read_text()
    changed = yaml.safe_load(text)
    changed["experiments"]["drivers"]["cold"]["select"]["keep"] = 0.5
    path.write_text(yaml.safe_dump(changed, sort_keys=False))
    planned = ran(dvc(study, "repro", "--dry"))
    path.write_text(text)
    # Figures and tracking follow if the tables change, which a dry run cannot know.
    assert set(planned) == {"drivers@cold", "tables"}


def test_a_clone_that_pulls_has_every_result_and_its_runs(study: Path, tmp_path: Path) -> None:
    """As a team shares a study: one pushes what DVC keeps, git has the rest."""
    clone, store = tmp_path / "clone", str(tmp_path / "store")
    clone.mkdir()
    copy_repository(clone)
    assert reproduce(study, "expect").returncode == 0
    shutil.copytree(study / "paper", clone / "paper", dirs_exist_ok=True)
    shutil.copy(study / "dvc.lock", clone)
    for folder in (study, clone):
        dvc(folder, "remote", "add", "--force", "--default", "store", store)
    dvc(study, "push")
    dvc(clone, "pull")
    assert ran(dvc(clone, "repro")) == ["tracking"]  # Its database is nobody's output.
    done = reproduce(clone, "verify", "--same-bytes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "made on this machine" in reproduce(clone, "expect").stderr
    with contextlib.closing(sqlite3.connect(clone / "mlflow.db")) as connection:
        count = "SELECT COUNT(*) FROM tags WHERE key = ?"
        found = [connection.execute(count, (key,)).fetchone()[0] for key in ("arm", "origin")]
    arms = sum(map(len, load_experiments(clone / "experiments.yaml").values()))
    seeds = load_params(clone / "params.yaml").seeds
    assert found == [len(seeds) * (arms + 2) + 1, 0]  # base and rewards a seed, judges once


def test_running_again_without_cache_gives_the_same_bytes(study: Path) -> None:
    before = outputs(study)
    stages = ("base", "two-stage@CD", "candidates", "score", "controls@shuffled", "tables")
    dvc(study, "repro", "--force", "--no-run-cache", "--single-item", *stages, "figures")
    assert outputs(study) == before


def kill_while_it_writes(study: Path, arm: str) -> None:
    """Begin the stage of an arm and kill everything once its first files are there."""
    experiment, name = arm.split("@")
    process = subprocess.Popen(
        [*DVC, "repro", "--single-item", arm], cwd=study, env=environment(study),
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pattern = str(study / "artifacts" / experiment / f".{name}.*" / "**" / "train.jsonl")
    deadline = time.monotonic() + 120
    # Not Path.glob, which fails on a folder that the stage removes meanwhile.
    while not glob.glob(pattern, recursive=True, include_hidden=True):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_stage_leaves_nothing_and_finishes_with_the_same_bytes(study: Path) -> None:
    path = study / "experiments.yaml"
    text = path.read_text()
    changed = yaml.safe_load(text)
    # A selection that was never made before: DVC has no earlier result to fall back on.
    changed["experiments"]["controls"]["random"]["select"]["keep"] = 0.7
    path.write_text(yaml.safe_dump(changed, sort_keys=False, allow_unicode=True))
    try:
        kill_while_it_writes(study, "controls@random")
        assert not (study / "artifacts" / "controls" / "random").exists()
        dvc(study, "repro", "--single-item", "controls@random")
        finished = outputs(study)["artifacts/controls/random"]
        dvc(study, "repro", "--force", "--no-run-cache", "--single-item", "controls@random")
        assert outputs(study)["artifacts/controls/random"] == finished
    finally:
        path.write_text(text)
        dvc(study, "repro")


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_model_is_named_and_not_used(study: Path, damage: str) -> None:
    folder = study / "artifacts" / "methods" / "MTL"
    path = folder / "seed-0" / "model" / "model.safetensors"
    content = path.read_bytes()
    path.chmod(0o644)
    path.unlink()
    if damage == "truncate":
        path.write_bytes(content[:-10])
    done = reproduce(study, "arm", "controls/random")
    path.write_bytes(content)
    assert done.returncode == 1
    assert "model.safetensors" in done.stderr and "dvc repro" in done.stderr


def test_a_wrong_parameter_is_refused_before_work(study: Path) -> None:
    path = study / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("learning_rate: 2.0e-2", "learning_rat: 2.0e-2"))
    done = reproduce(study, "arm", "two-stage/IF")
    path.write_text(text)
    assert done.returncode == 1
    assert "training.learning_rat" in done.stderr and "Traceback" not in done.stderr


def test_results_stay_where_a_stage_that_makes_them_fails(study: Path) -> None:
    claims, kept = study / "paper" / "claims.yaml", outputs(study)
    text = claims.read_text()
    claims.write_text(text.replace("two-stage/CD-IF", "two-stage/no-such-arm"))
    done = subprocess.run(
        [*DVC, "repro", "tables"], cwd=study, env=environment(study), capture_output=True, text=True
    )
    assert done.returncode and "no-such-arm" in done.stderr
    claims.write_text(text)
    # DVC takes outputs away before a stage runs, unless they are to persist.
    assert dvc(study, "status", "tables").strip() == "Data and pipelines are up to date."
    assert outputs(study) == kept
