"""The benchmark: fair measurements, counts by hand, refusals."""

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reproduce.base import make_base
from reproduce.config import load_params
from reproduce.data.prepare import make_data
from reproduce.models.load import load_tokenizer
from reproduce.models.tokenization import encode_example
from reproduce.schema import read_examples, write_examples

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "analysis" / "benchmark.py"


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(SCRIPT.parent))
benchmark = loaded()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, text=True, capture_output=True, env=environment)


def run_steps(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT.with_name("steps.py")), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, text=True, capture_output=True, env=environment)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the parameters, data and base model of the nano world."""
    folder = tmp_path_factory.mktemp("nano")
    shutil.copy(ROOT / "tests" / "nano" / "params.yaml", folder)
    shutil.copy(ROOT / "experiments.yaml", folder)
    params, artifacts = load_params(folder / "params.yaml"), folder / "artifacts"
    make_data(params.data, params.validation, artifacts)
    make_base(params, artifacts / "training", artifacts / "pretraining", artifacts / "base")
    return folder


def found(method: str, tokens: int, seconds: float) -> dict[str, Any]:
    same = {"padding": 0.1, "last_loss": 1.0, "imports": 1.0, "loading": 1.0}
    more = {"threads": 1, "processes": 1}
    return {"method": method, "tokens": tokens, "seconds": seconds, **same, **more}


def test_medians_and_ratio_are_taken_over_repeats() -> None:
    times = [("a", 1.0), ("b", 4.0), ("a", 2.0), ("b", 8.0), ("a", 50.0), ("b", 5.0)]
    first, second = benchmark.summarised([found(name, 100, s) for name, s in times])
    assert (first["seconds"], first["tokens_per_second"], first["fastest"]) == (2.0, 50, 100)
    assert (second["tokens_per_second"], second["first_is_times"]) == (20, 2.5)
    assert first["first_is_times"] == 1


def test_different_numbers_of_tokens_are_refused() -> None:
    with pytest.raises(benchmark.Unfair, match="'b': 101"):
        benchmark.summarised([found("a", 100, 1.0), found("b", 101, 1.0)])


def test_every_method_trains_on_the_same_tokens(profile: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    target = tmp_path / "found.csv"
    options = ("--repeats", 1, "--examples", 20, "--methods", "ours,plain,trl")
    done = run("training", *options, "--profile", profile, "--output", target)
    assert done.returncode == 0, done.stderr[-3000:]
    ours, plain, trl = rows(target)
    assert ours["tokens"] == plain["tokens"] == trl["tokens"]
    assert int(ours["tokens"]) > 2 * 20 * 10
    # The same batches, order, schedule and clipping: the bare loop ends at the same loss.
    assert float(ours["last_loss"]) == pytest.approx(float(plain["last_loss"]), abs=2e-4)
    assert ours["padding_share"] == plain["padding_share"]
    assert (ours["processes"], plain["processes"]) == ("2", "1")


def test_stages_are_counted_from_the_log_and_the_training_files(
    profile: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(profile, tmp_path / "profile"))
    examples = read_examples(folder / "artifacts" / "training" / "stories.jsonl")
    for seed in (0, 1):
        run_of_seed = folder / "artifacts" / "methods" / "MTL" / f"seed-{seed}"
        write_examples(run_of_seed / "train.jsonl", examples[: 3 + seed])
    log = [("data", 2.0, 100), ("two-stage/base", 3.0, 200), ("methods/MTL", 9.0, 300)]
    log += [("data", 4.0, 1000), ("methods/MTL", 5.0, 1011)]
    text = "".join(json.dumps({"stage": n, "seconds": s, "at": t}) + "\n" for n, s, t in log)
    (folder / "logs").mkdir()
    (folder / "logs" / "timings.jsonl").write_text(text)
    trained = {"stage": "methods/MTL", "parameters": 1000, "devices": 1, "device": "a", "at": 9}
    seeds = [{"run": f"seed {n}", "tokens": 300 + n, "seconds": 2.0} for n in (0, 1, 1)]
    seeds[1]["tokens"] = 9  # an earlier run of the same seed
    lines = [json.dumps({**trained, **seed, "device_memory_mb": 50}) + "\n" for seed in seeds]
    (folder / "logs" / "training.jsonl").write_text("".join(lines))
    done = run_steps("--profile", folder, "--output", tmp_path / "steps.csv", "--tflops", "1e-6")
    assert done.returncode == 0, done.stderr
    tokenizer = load_tokenizer(folder / "artifacts" / "base" / "seed-0" / "model")
    lengths = [len(encode_example(tokenizer, e, 128)["input_ids"]) for e in examples[:4]]
    epochs = int(load_params(folder / "params.yaml").training.epochs)
    tokens = epochs * (sum(lengths[:3]) + sum(lengths))
    read = {row["stage"]: row for row in rows(tmp_path / "steps.csv")}
    assert (read["data"]["seconds"], read["data"]["trained_tokens"]) == ("4.0", "")
    assert read["methods/MTL"]["trained_tokens"] == str(tokens)
    assert read["methods/MTL"]["tokens_per_second"] == str(round(tokens / 5))
    assert (read["methods/MTL"]["runs"], read["data"]["runs"]) == ("2", "")
    assert read["methods/MTL"]["run_tokens_per_second"] == str(round((150 + 150.5) / 2))
    assert float(read["methods/MTL"]["mfu"]) == pytest.approx(6e3 * 150.25 / 1e6, abs=1e-4)
    assert read["methods/MTL"]["device_memory_mb"] == "50"
    assert read["total"]["seconds"] == "12.0"
    assert "2 stages in 15 s, 9 s inside the stages; 40.0% between" in done.stdout
    assert "Not in the log: entailment, base, two-stage/IF" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("training",), "artifacts/base: missing or unfinished; run `dvc repro`"),
        (("training", "--arm", "methods/none"), "no arm 'methods/none' that trains"),
        (("training", "--methods", "ours,theirs"), "no method is called ['theirs']"),
        ((), "timings.jsonl: missing; run `dvc repro`"),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    for name in ("params.yaml", "experiments.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    call = run if arguments else run_steps
    done = call(*arguments, "--profile", tmp_path, "--output", tmp_path / "out.csv")
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_no_profile_writes_over_the_file_of_another() -> None:
    found = {benchmark._kept(ROOT / name).name for name in ("", "profiles/smollm2")}
    assert found == {"benchmark-training.csv", "benchmark-training-smollm2.csv"}
    assert all((ROOT / "analysis" / name).is_file() for name in found)
