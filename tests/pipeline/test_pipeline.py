"""The nano study as a DVC user runs it: reruns, changes, kills, metrics, plots, experiments."""

import glob
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from support.profiles import DVC, ROOT, change, dvc, environment, nano_profile, run

pytestmark = pytest.mark.slow


def stages_run(output: str) -> list[str]:
    prefix = "Running stage '"
    lines = [line for line in output.splitlines() if line.startswith(prefix)]
    return [line.removeprefix(prefix).split("'")[0] for line in lines]


def checksums(folder: Path) -> dict[str, str]:
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a git repository with the nano study, run by DVC and committed."""
    folder = nano_profile(tmp_path_factory.mktemp("study"))
    shutil.copy(ROOT / ".gitignore", folder)
    for command in (["git", "init", "-q"], ["git", "config", "user.email", "a@example.org"],
                    ["git", "config", "user.name", "A"]):  # fmt: skip
        run(folder, *command)
    dvc(folder, "init", "-q")
    commit(folder, "settings")
    dvc(folder, "repro")
    commit(folder, "results")
    return folder


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message)


def test_a_run_writes_only_artifacts_logs_the_lock_and_the_database(study: Path) -> None:
    assert all((study / path).exists() for path in checksums(study))
    assert (study / "mlflow.db").exists() and (study / "logs" / "runs.jsonl").exists()
    assert {path.name for path in (study / "paper").iterdir()} == {
        "results", "claims.yaml", "predictions.yaml",
    }  # fmt: skip
    assert run(study, "git", "status", "--porcelain").stdout == ""


def test_metrics_plots_params_and_experiments_work(study: Path) -> None:
    assert "ReSet" in dvc(study, "metrics", "show")
    dvc(study, "plots", "show", "-o", "plots")
    assert "losses" in (study / "plots" / "index.html").read_text()
    shutil.rmtree(study / "plots")
    name = "arms.random.select.keep_fraction"
    output = dvc(study, "exp", "run", "-n", "half", "-S", f"experiments.yaml:{name}=0.5")
    assert [s for s in stages_run(output) if s.startswith("arm@")] == ["arm@random"]
    assert name in dvc(study, "params", "diff")
    assert "half" in dvc(study, "exp", "show", "--no-pager", "--csv")
    assert "scores.MTL.task" in dvc(study, "metrics", "diff", "--all")
    run(study, "git", "checkout", "-q", ".")
    dvc(study, "checkout", "-q")
    assert stages_run(dvc(study, "repro")) == []


def test_a_changed_arm_reruns_itself_and_no_other_arm(study: Path) -> None:
    before = (study / "experiments.yaml").read_text()
    change(study / "experiments.yaml", ("arms.random.select.keep_fraction", 0.5))
    planned = stages_run(dvc(study, "repro", "--dry"))
    (study / "experiments.yaml").write_text(before)
    # Figures and tracking follow if the tables change, which a dry run cannot know.
    assert set(planned) == {"arm@random", "tables"}


def test_another_label_reruns_no_arm(study: Path) -> None:
    before = (study / "experiments.yaml").read_text()
    change(study / "experiments.yaml", ("labels.ReSet", "another label"))
    planned = stages_run(dvc(study, "repro", "--dry"))
    (study / "experiments.yaml").write_text(before)
    assert not any(s.startswith("arm@") for s in planned) and "tables" in planned


def test_stages_give_the_same_bytes_again(study: Path) -> None:
    before = checksums(study)
    stages = (
        "pretrain", "arm@CD", "candidates@MTL", "score@MTL", "arm@random", "tables", "figures",
    )  # fmt: skip
    dvc(study, "repro", "--force", "--no-run-cache", "--single-item", *stages)
    assert checksums(study) == before


def test_a_killed_stage_leaves_nothing_and_finishes_with_the_same_bytes(study: Path) -> None:
    before = (study / "experiments.yaml").read_text()
    # A selection that was never made before: DVC has no earlier result to restore.
    change(study / "experiments.yaml", ("arms.random.select.keep_fraction", 0.7))
    process = subprocess.Popen(
        [*DVC, "repro", "--single-item", "arm@random"], cwd=study, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(),
    )  # fmt: skip
    pattern = str(study / "artifacts" / "models" / "random" / ".seed-*" / "**" / "training")
    deadline = time.monotonic() + 120
    # Not Path.glob, which fails on a folder that the stage removes meanwhile.
    while not glob.glob(pattern, recursive=True, include_hidden=True):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((study / "artifacts" / "results" / "random").glob("seed-*"))
    dvc(study, "repro", "--single-item", "arm@random")
    finished = checksums(study)["artifacts/results/random"]
    dvc(study, "repro", "--force", "--no-run-cache", "--single-item", "arm@random")
    assert checksums(study)["artifacts/results/random"] == finished
    (study / "experiments.yaml").write_text(before)
    dvc(study, "repro")


def test_a_clone_that_pulls_has_every_result(study: Path, tmp_path: Path) -> None:
    """As a team shares a study: one pushes what DVC keeps, git has the rest."""
    dvc(study, "remote", "add", "--force", "--default", "store", str(tmp_path / "store"))
    commit(study, "remote")
    dvc(study, "push")
    run(tmp_path, "git", "clone", "-q", str(study), "clone")
    dvc(tmp_path / "clone", "pull")
    assert stages_run(dvc(tmp_path / "clone", "repro")) in ([], ["tracking"])
    assert checksums(tmp_path / "clone") == checksums(study)
