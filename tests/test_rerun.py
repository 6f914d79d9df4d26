"""`make twice`: every stage again, by DVC itself, compared with what was there before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = """
stages:
  first:
    cmd: ls .cache/entailment | wc -l >> ran.log; echo {first} > paper/figures/first.txt
    outs: [paper/figures/first.txt: {{cache: false}}]
  second:
    cmd: {second}cp paper/figures/first.txt paper/figures/second.txt
    deps: [paper/figures/first.txt]
    outs: [paper/figures/second.txt: {{cache: false}}]
"""


def call(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    known.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=known, text=True, capture_output=True
    )


@pytest.fixture
def study(finished: Path) -> Path:
    """Return a finished study of two stages of its own, and a cache of judged pairs."""
    assert call(finished, "dvc", "init", "--no-scm").returncode == 0
    (finished / ".cache" / "entailment").mkdir(parents=True)
    (finished / ".cache" / "entailment" / "pairs").write_text("judged before")
    (finished / "dvc.yaml").write_text(STAGES.format(first="one", second=""))
    assert call(finished, "dvc", "repro").returncode == 0
    return finished


def rerun(study: Path) -> "subprocess.CompletedProcess[str]":
    return call(study, "reproduce", "verify", "--rerun", "--same-bytes")


def cached(study: Path) -> list[str]:
    return [path.read_text() for path in (study / ".cache" / "entailment").iterdir()]


def test_every_stage_runs_again_without_any_cache(study: Path) -> None:
    done = rerun(study)
    assert done.returncode == 0, done.stdout + done.stderr
    # The first run saw the pairs that were judged before, the second none.
    assert (study / "ran.log").read_text().split() == ["1", "0"]
    assert cached(study) == ["judged before"]


def test_other_bytes_are_found(study: Path) -> None:
    (study / "dvc.yaml").write_text(STAGES.format(first="two", second=""))
    done = rerun(study)
    assert done.returncode == 1 and "first.txt" in done.stdout + done.stderr


def test_a_stage_that_fails_is_said_and_the_cache_is_back(study: Path) -> None:
    (study / "dvc.yaml").write_text(STAGES.format(first="one", second="false && "))
    done = rerun(study)
    assert done.returncode not in (0, 1) and "failed to reproduce 'second'" in done.stderr
    assert cached(study) == ["judged before"]
