"""The crossing of base models and examples: the arm of a seed's own base model is the study's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reproduce.arms import run_arm
from reproduce.base import make_base
from reproduce.config import by_key, load_experiments, load_params
from reproduce.data.prepare import make_data
from reproduce.judges.prepare_judges import make_entailment
from reproduce.utils.files import read_csv, read_rows

ROOT = Path(__file__).parent.parent
ARM = "two-stage/CD"


def crossed(profile: Path, arm: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "analysis" / "crossed.py"), arm]
    return subprocess.run(
        [*command, "--profile", str(profile), "--output", str(profile / "crossed.csv")],
        text=True, capture_output=True, cwd=profile, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_every_base_model_meets_the_examples_of_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "tests" / "nano" / "params.yaml", tmp_path)
    shutil.copy(ROOT / "experiments.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    params, artifacts = load_params(), tmp_path / "artifacts"
    make_data(params.data, params.validation, artifacts)
    make_base(params, artifacts / "training", artifacts / "pretraining", artifacts / "base")
    make_entailment(params, artifacts)
    done = crossed(tmp_path, ARM)
    assert done.returncode == 0, done.stderr
    rows = {(row["base_model"], row["examples"]): row for row in read_csv(tmp_path / "crossed.csv")}
    assert sorted(rows) == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    run_arm(params, ARM, by_key(load_experiments())[ARM], artifacts)
    for seed in "01":
        own = read_rows(artifacts / ARM / f"seed-{seed}" / "evaluation.jsonl")
        sets = {row["dataset"] for row in own if row["instruction"] is not None}
        means = [
            sum(scores) / len(scores)
            for name in sets
            for scores in [[r["instruction"] for r in own if r["dataset"] == name
                            and r["progress"] == 1.0]]
        ]  # fmt: skip
        found = float(rows[seed, seed]["instruction"])
        assert found == pytest.approx(sum(means) / len(means), abs=6e-4)


@pytest.mark.parametrize(
    ("profile", "arm", "said"),
    [
        (ROOT, "two-stage/IF-CD", "no arm that starts from base"),
        (ROOT, "two-stage/none", "no arm that starts from base"),
        (ROOT / "profiles" / "smollm2", ARM, "one base model"),
    ],
)
def test_what_cannot_be_crossed_is_refused(
    profile: Path, arm: str, said: str, tmp_path: Path
) -> None:
    shutil.copy(profile / "params.yaml", tmp_path)
    shutil.copy(ROOT / "experiments.yaml", tmp_path)
    done = crossed(tmp_path, arm)
    assert done.returncode == 1 and said in done.stderr
