"""Training and generation in real shapes on one NVIDIA GPU, with random weights.

`pack` makes an archive that needs no network; `measure` runs the parts, each in a process
of its own, so that a failure costs one row. See benchmarks/README.md.

"mfu" is the share of the GPU's peak that the model's own operations use: tokens per second times
operations per token over peak operations per second. A token takes 6 N + 12 L H Q T operations for
N weights, L layers, H heads of Q dimensions and T tokens a row (PaLM: Chowdhery et al., 2022,
appendix B); what is computed twice to save memory does not count. An adapter needs no gradients of
the N frozen weights: 4 N.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bf16 operations per second, of NVIDIA's data sheets (SXM)."""
SHAPES = {
    # name: width, of the feed-forward, layers, heads, heads of keys and values, vocabulary
    "llama-7b": (4096, 11008, 32, 32, 32, 32000),
    "smollm2": (576, 1536, 30, 9, 3, 49152),
    "tiny": (48, 64, 2, 4, 2, 512),
}
PRESENT = {"torch", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "pillow"}
"""What the machine has: with them the archive would be too large."""
CARRIED = (
    "transformers accelerate peft trl datasets deepspeed pydantic ruamel.yaml ruamel.yaml.clib "
    "rouge-score sentencex diskcache typer pooch"
)
SOURCES = ("deepspeed==", "rouge-score==")
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 17, 12, 5)] + ["manylinux2014_x86_64"]
RUN = """#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
PYTHON=${{PYTHON:-python3}}
$PYTHON -m pip install -q --no-index --no-deps --no-compile --upgrade --target lib wheels/*.whl
export PYTHONPATH=$PWD/lib:$PWD COMMIT={commit}
$PYTHON benchmarks/gpu.py measure "$@"
"""


@dataclass
class Part:
    """What one process measures: a method of bench.py on `batch` rows of at most `length` tokens.

    Attributes:
        steps: optimiser steps, or new tokens of each response.
        half: weights, gradients and AdamW's moments in bf16, half of what they take in fp32.
        recompute: compute activations twice to hold them once.
        equal: all rows have `length` tokens; else a tenth of it to all of it.
        like: a part that must have the same losses.
    """

    method: str
    shape: str
    batch: int
    length: int
    steps: int
    half: bool = True
    precision: Literal["fp32", "bf16"] = "bf16"
    recompute: bool = False
    zero: bool = False
    equal: bool = True
    like: str = ""


FULL = Part("ours", "llama-7b", batch=4, length=1024, steps=10, recompute=True)
SMALL = Part("ours", "smollm2", batch=8, length=320, steps=20, half=False, equal=False)
PLAIN = replace(SMALL, precision="fp32", steps=6)
PARTS = {
    # Weights, gradients and moments of AdamW: 54 GB in bf16, 108 GB in fp32 as the study has them.
    "7B, all weights, all in bf16": FULL,
    "7B, LoRA": replace(FULL, method="lora"),
    "7B, own generation": Part("generate", "llama-7b", batch=64, length=256, steps=128),
    "SmolLM2, ours": SMALL,
    "SmolLM2, TRL": replace(SMALL, method="trl", like="SmolLM2, ours"),
    "SmolLM2, fp32": PLAIN,
    "SmolLM2, fp32, ZeRO-2": replace(PLAIN, zero=True, like="SmolLM2, fp32"),
    "7B, generate of transformers": Part("plain-generate", "llama-7b", 64, 256, 128),
    "7B, all weights, products in bf16": replace(FULL, half=False),
}


def run_part(part: Part, threads: int, folder: Path) -> dict[str, Any]:
    """Return the numbers of a part."""
    import bench
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from reproduce.config import Decoding, Generation, Hardware, Training
    from reproduce.generation import generate as generation
    from reproduce.schema import Example
    from reproduce.training import trainer
    from reproduce.utils.seeds import set_determinism
    from reproduce.world.corpus import pretraining_texts
    from reproduce.world.people import make_world
    from reproduce.world.tokenizer import build_tokenizer

    if part.zero:
        import deepspeed  # noqa: F401

    set_determinism(0, threads)
    width, inner, layers, heads, kv_heads, vocabulary = SHAPES[part.shape]
    config = LlamaConfig(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=vocabulary,
        max_position_embeddings=2048, tie_word_embeddings=part.shape != "llama-7b",
    )  # fmt: skip
    gpu = torch.cuda.is_available()
    with torch.device("cuda" if gpu else "cpu"):
        dtype = torch.bfloat16 if part.half else torch.float32
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    weights = sum(weight.numel() for weight in model.parameters())
    # Only its special tokens matter: all others are drawn.
    tokenizer = build_tokenizer(pretraining_texts(make_world(8, 0), 50, 0))
    draw = random.Random(0)
    generates = "generate" in part.method
    shortest = part.length if part.equal else part.length // 10
    rows = [
        draw.choices(range(10, vocabulary), k=draw.randint(shortest, part.length))
        for _ in range(part.batch * (1 if generates else part.steps))
    ]
    calls: list[tuple[float, int]] = []  # When the model was called, and on how many tokens.

    def clock(_: Any, __: Any, inputs: Mapping[str, Any]) -> None:
        if gpu:
            torch.cuda.synchronize()
        tokens = inputs["input_ids"].numel() if generates else inputs["attention_mask"].sum()
        calls.append((time.perf_counter(), int(tokens)))

    model.base_model.register_forward_pre_hook(clock, with_kwargs=True)
    numbers: dict[str, Any] = {"weights": weights}
    if generates:
        examples = [Example("drawn", "instruction", str(n), "") for n in range(len(rows))]
        by_id = {example.id: row for example, row in zip(examples, rows, strict=True)}
        bounds = Generation(max_new_tokens=part.steps, batch_size=part.batch)
        own = part.method == "generate"
        module, call = (generation, generation.generate) if own else (bench, bench.plain_generate)
        with patch.object(module, "prompt_ids", lambda _, example: by_id[example.id]):
            call(model, tokenizer, examples, Decoding(temperature=1.0), bounds, 0)
    else:
        settings = Training(
            epochs=1, batch_size=part.batch, micro_batch_size=part.batch, learning_rate=1e-5,
            schedule="constant_with_warmup", warmup=0, weight_decay=0.0, max_length=2048,
        )  # fmt: skip
        hardware = Hardware(
            threads=threads, precision=part.precision, gradient_checkpointing=part.recompute,
            deepspeed=str(ROOT / "deepspeed" / "zero2.json") if part.zero else None,
        )  # fmt: skip
        task = bench.Task(
            model, tokenizer, [{"input_ids": row, "labels": row} for row in rows], settings,
            hardware, 0, folder,
        )  # fmt: skip

        def save_nothing(_: Any, checkpoint: str, **__: Any) -> None:
            Path(checkpoint).mkdir(parents=True, exist_ok=True)

        # Random weights, up to 27 GB, need not be written.
        with patch.object(trainer._Trainer, "_save", save_nothing):
            bench.TRAINING[part.method](task)
        state = json.loads((folder / f"checkpoint-{part.steps}/trainer_state.json").read_text())
        numbers["losses"] = [log["loss"] for log in state["log_history"] if "loss" in log]
    # The first calls choose kernels and take memory, and one of them reads the prompts.
    calls = calls[2:]
    seconds = calls[-1][0] - calls[0][0]
    pace = sum(tokens for _, tokens in calls[:-1]) / seconds
    numbers |= {
        "tokens_per_second": round(pace, 1), "seconds_a_step": round(seconds / (len(calls) - 1), 4),
        "peak_memory_gib": round(bench.peak_memory_gib(), 2), "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if gpu else "none",
    }  # fmt: skip
    peak = next((peak for name, peak in PEAKS.items() if name in numbers["gpu"]), None)
    if peak and part.equal and not generates:
        per_weight = 4 if part.method == "lora" else 6
        operations = per_weight * weights + 12 * layers * width * part.length
        numbers["mfu"] = round(pace * operations / peak, 4)
    return numbers


def measure(output: Path, seconds: int, part_seconds: int, tiny: bool) -> None:
    """Run all parts; write gpu.json and gpu.csv after each."""
    import pandas as pd

    end = time.monotonic() + seconds
    output.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **({"DS_ACCELERATOR": "cpu"} if tiny else {})}
    rows: dict[str, dict[str, Any]] = {}
    for name, part in PARTS.items():
        result, began = output / "part.json", time.monotonic()
        limit = max(1, min(part_seconds, end - began))
        write = {"error": f"no result within {limit:.0f} s, see log.txt"}
        result.write_text(json.dumps(write))
        command = [sys.executable, __file__, "part", "--name", name, "--output", str(result)]
        with (output / "log.txt").open("a") as log, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command + ["--tiny"] * tiny, env=environment, timeout=limit, stdout=log, stderr=log
            )
        row = {"part": name, "batch": part.batch, "length": part.length,
               **json.loads(result.read_text()), "seconds": round(time.monotonic() - began, 1),
               "commit": os.environ.get("COMMIT", "")}  # fmt: skip
        pairs = zip(rows.get(part.like, {}).get("losses", ()), row.get("losses", ()), strict=False)
        row["loss_difference"] = max((abs(one - other) for one, other in pairs), default="")
        rows[name] = row
        result.unlink()
        (output / "gpu.json").write_text(json.dumps([*rows.values()], indent=1))
        frame = pd.DataFrame([*rows.values()]).drop(columns="losses", errors="ignore")
        frame.to_csv(output / "gpu.csv", index=False)
        print(", ".join(f"{key} {row[key]}" for key in row if key != "losses"), flush=True)


def pack(target: Path) -> None:
    """Write the archive: wheels of what the machine lacks, code, and run.sh."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted, todo = set(PRESENT), CARRIED.split()
    while todo:
        name = canonicalize_name(todo.pop())
        if name in wanted:
            continue
        wanted.add(name)
        for line in importlib.metadata.requires(name) or []:
            need, python = Requirement(line), {"python_version": "3.12", "extra": ""}
            if not need.marker or need.marker.evaluate(python):
                todo.append(need.name)
    pins = {f"{name}=={importlib.metadata.version(name)}" for name in wanted - PRESENT}
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "gpu"
        pip = [sys.executable, "-m", "pip", "-q"]
        for pin in sorted(pins):
            # Those that exist as source alone are pure Python.
            source = pin.startswith(SOURCES)
            how = ["wheel"] if source else ["download", "--only-binary=:all:", "--python-version",
                   "3.12", "--implementation", "cp", *platforms]  # fmt: skip
            options = ["--no-deps", "-w" if source else "-d", str(folder / "wheels"), pin]
            subprocess.run([*pip, *how, *options], check=True)
        for name in ("reproduce", "benchmarks", "deepspeed"):
            ignore = shutil.ignore_patterns("__pycache__", "results")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.check_output(describe, cwd=ROOT, text=True).strip()
        (folder / "run.sh").write_text(RUN.format(commit=commit))
        with tarfile.open(target, "w:gz") as archive:
            archive.add(folder, "gpu")
    print(f"{target}: {target.stat().st_size / 2**20:.1f} MiB")


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("pack", "measure", "part"))
    parser.add_argument("--output", type=Path, help="archive of `pack`, folder of `measure`")
    parser.add_argument("--seconds", type=int, default=440, help="of all parts")
    parser.add_argument("--part-seconds", type=int, default=100, help="of each part")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, also without a GPU")
    parser.add_argument("--name", choices=PARTS, help="which `part`")
    options = parser.parse_args()
    if options.command == "pack":
        return pack(options.output or Path("gpu.tar.gz"))
    if options.command == "measure":
        output = options.output or Path("gpu-results")
        return measure(output.resolve(), options.seconds, options.part_seconds, options.tiny)
    part = PARTS[options.name]
    if options.tiny:
        part = replace(part, shape="tiny", batch=4, length=24, steps=5)
    try:
        with tempfile.TemporaryDirectory() as folder:
            threads = 1 if options.tiny else os.cpu_count() or 1
            numbers = run_part(part, threads, Path(folder))
    except Exception as error:
        traceback.print_exc()
        numbers = {"error": f"{type(error).__name__}: {error}"[:300]}
    options.output.write_text(json.dumps(numbers))


if __name__ == "__main__":
    main()
