"""The benchmarks compare equal work and report medians."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reproduce.utils.files import read_csv

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import bench

    return bench


def test_rows_have_medians_and_paces_against_the_first_method(bench: Any) -> None:
    runs = {
        "a": [bench.Measurement(seconds, 100, {}, ["x", "y"]) for seconds in (1.0, 50.0, 2.0)],
        "b": [bench.Measurement(seconds, 50, {}, ["x", "z"]) for seconds in (4.0, 2.0, 2.5)],
    }
    first, second = bench.summarise(runs, "tokens")
    assert (first["seconds"], first["tokens_per_second"], first["fastest"]) == (2.0, 50.0, 100.0)
    assert (second["times_as_long"], second["equal_outputs"]) == (2.5, 0.5)
    runs = {n: [bench.Measurement(1.0, n, {"last_loss": 1.0})] for n in (100, 101)}
    with pytest.raises(bench.UnequalWork):
        bench.summarise(runs, "tokens")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "methods"),
    [
        ("training", "ours,bare-loop,trl,all-logits,lora"),
        ("evaluation", "ours,plain-generate,finished-rows-stay"),
        ("judging", "ours"),
    ],
)
def test_the_methods_of_a_benchmark_do_the_same(
    benchmark: str, methods: str, bench: Any, shared_nano_study: Path, tmp_path: Path
) -> None:
    words = [benchmark, "--methods", methods, "--repeats", "1", "--size", "8"]
    words += ["--profile", str(shared_nano_study), "--output", str(tmp_path / "result.csv")]
    bench.main(words)
    rows = {row["method"]: row for row in read_csv(tmp_path / "result.csv")}
    assert ",".join(rows) == methods
    if benchmark == "training":  # The same batches, order and schedule: the same loss.
        *losses, adapter = (float(row["last_loss"]) for row in rows.values())
        assert losses == pytest.approx([losses[0]] * 4, abs=3e-4) and adapter > losses[0]
        assert all(0 < float(row["peak_memory_gib"]) < 8 for row in rows.values())
    else:
        assert all(float(row["equal_outputs"]) == 1.0 for row in rows.values())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed compiles its CPU transport")
def test_every_part_for_a_gpu_runs_in_tiny_shapes(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "measure", "--tiny"]
    limits = ["--seconds", "1800", "--part-seconds", "300"]
    subprocess.run([*command, "--output", str(tmp_path), *limits], check=True)
    rows = {row["part"]: row for row in json.loads((tmp_path / "gpu.json").read_text())}
    assert {name: row["error"] for name, row in rows.items() if "error" in row} == {}
    assert len(rows) == 9 and all(row["tokens_per_second"] > 0 for row in rows.values())
    compared = [row["loss_difference"] for row in rows.values() if row["loss_difference"] != ""]
    assert len(compared) == 2 and max(compared) < 1e-2
