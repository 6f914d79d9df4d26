"""The benchmark of sampling and judging: what it compares is the same work."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reproduce.base import make_base
from reproduce.config import load_params
from reproduce.data import make_data
from reproduce.files import sealed_folder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nano")
    shutil.copy(ROOT / "tests" / "nano" / "params.yaml", folder)
    params, artifacts = load_params(folder / "params.yaml"), folder / "artifacts"
    make_data(params.data, params.validation, artifacts)
    make_base(params, artifacts / "training", artifacts / "pretraining", artifacts / "base")
    return folder


def run(profile: Path, *arguments: str) -> list[dict[str, str]]:
    output = profile / "speed.csv"
    command = [sys.executable, str(ROOT / "analysis" / "speed.py"), *arguments]
    done = subprocess.run(
        [*command, "--profile", str(profile), "--output", str(output)],
        text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with output.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_sampling_is_compared_with_one_prompt_at_a_time(profile: Path) -> None:
    batches, single = run(profile, "sampling", "--prompts", "2", "--samples", "2")
    assert (batches["responses"], single["responses"]) == ("24", "12")
    assert batches["first_is_times"] == "1.0" and float(single["first_is_times"]) > 0


def test_judging_gives_the_same_scores(profile: Path, encoder: Callable[..., Path]) -> None:
    with sealed_folder(profile / "artifacts" / "entailment") as folder:
        shutil.copytree(encoder(), folder / "model")
    rows = run(profile, "judging", "--alone", "20")
    assert [row["method"] for row in rows] == [
        "the same again, full cache", "as the study asks, empty cache", "one by one",
    ]  # fmt: skip
    assert all(float(row["difference"]) <= 1e-6 for row in rows)
    assert rows[0]["pairs"] == rows[1]["pairs"] and int(rows[0]["pairs"]) > 20
    assert rows[2]["pairs"] == "20"
