"""Several processes and ZeRO: the steps of one plain run, and its model, also after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from support.profiles import ROOT
from support.training_runs import largest_difference, saved_weights

from reproduce.config import Hardware, LoRA, Training
from reproduce.training.launch import CHECKPOINTS, Job, run_training
from reproduce.training.trainer import TRAINER_STATE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed compiles its CPU transport"),
]
BIN = Path(sys.executable).parent
TORCHRUN = f"{BIN}/torchrun --standalone --nproc_per_node 2 --no-python"
ACCELERATE = f"{BIN}/accelerate launch --multi_gpu --num_processes 2 --no_python"
"""As docs/seven-billion.md gives them; both take processors for GPUs where there are none."""
PROGRAM = (
    "import json, sys; from reproduce.training.launch import Job, run_training; "
    "run_training(Job(**json.loads(sys.argv[1])), json.loads(sys.argv[2]))"
)
Maker = Callable[..., Job]


@pytest.fixture
def job(
    start: str, settings: Training, hardware: Hardware, tmp_path: Path,
    distributed: None,
) -> Maker:  # fmt: skip
    """Return a maker of jobs of 3 steps per epoch, each with a folder of its own."""

    def make(name: str, micro: int, epochs: float = 2, zero: str = "", **changes: Any) -> Job:
        if zero:
            changes |= {"devices": 2, "deepspeed": str(ROOT / "deepspeed" / f"{zero}.json")}
        sizes = {"batch_size": 16, "micro_batch_size": micro, "epochs": epochs}
        return Job(
            title="launched", stage="arm/x", start=start,
            output_dir=str(tmp_path / name), seed=1, data_seed=5,
            training=settings.model_copy(update=sizes),
            hardware=hardware.model_copy(update=changes), num_intermediate_evals=1,
        )  # fmt: skip

    return make


def losses(job: Job, rows: list[Any]) -> list[float]:
    return [entry["loss"] for entry in run_training(job, rows)[0]]


def same_models(one: Job, other: Job, allowed: float) -> None:
    """Compare the last and the intermediate model of two runs."""
    folders = [Path(job.output_dir) for job in (one, other)]
    [half], [other_half] = ([*(folder / "intermediate").iterdir()] for folder in folders)
    assert half.name == other_half.name
    for first, second in (folders, (half, other_half)):
        assert largest_difference(saved_weights(first), saved_weights(second)) <= allowed


@pytest.mark.parametrize(
    ("zero", "micro", "launcher"), [("zero2", 2, TORCHRUN), ("zero3", 4, ACCELERATE)]
)
def test_two_processes_take_the_steps_of_one(
    job: Maker, rows: list[Any], zero: str, micro: int, launcher: str
) -> None:
    plain, both = job("plain", micro), job("both", micro, zero=zero, launch=launcher)
    expected = losses(plain, rows)
    assert len(expected) == 6
    assert losses(both, rows) == pytest.approx(expected, abs=1e-4)
    same_models(plain, both, 1e-4)


def test_two_processes_train_an_adapter_as_one_does(job: Maker, rows: list[Any]) -> None:
    plain, both = job("plain", 2), job("both", 2, zero="zero2", launch=TORCHRUN)
    lora = LoRA(rank=4, alpha=8)
    plain, both = (
        each.model_copy(update={"training": each.training.model_copy(update={"lora": lora})})
        for each in (plain, both)
    )
    assert losses(both, rows) == pytest.approx(losses(plain, rows), abs=1e-4)
    same_models(plain, both, 1e-4)
    folders = [Path(each.output_dir) / "adapter" for each in (plain, both)]
    adapters = [load_file(folder / "adapter_model.safetensors") for folder in folders]
    assert largest_difference(*adapters) <= 1e-4


def test_a_killed_run_goes_on_with_the_same_losses(job: Maker, rows: list[Any]) -> None:
    settings = {"zero": "zero3", "epochs": 8, "launch": TORCHRUN, "save_every": 10}
    plain, cut = job("plain", 2, epochs=8), job("cut", 2, **settings)
    expected = losses(plain, rows)
    command = [sys.executable, "-c", PROGRAM, cut.model_dump_json(), json.dumps(rows)]
    with subprocess.Popen(command, start_new_session=True) as process:
        until = time.monotonic() + 200
        while time.monotonic() < until and process.poll() is None:
            if list(CHECKPOINTS.glob(f"*/*/checkpoint-10/{TRAINER_STATE}")):
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert not Path(cut.output_dir).exists() and list(CHECKPOINTS.glob("*/*/checkpoint-*"))
    assert losses(cut, rows) == pytest.approx(expected, abs=1e-4)
    same_models(plain, cut, 1e-4)
