"""Several processes, ZeRO and interruptions: the steps of one plain run, and its model."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence import Note

from reproduce.config import ConfigError, Hardware, Training
from reproduce.training.launch import Job, carried_out, kept, read_job
from reproduce.utils.files import write_json, write_rows

ROOT = Path(__file__).parent.parent
PLAIN: dict[str, Any] = {"workers": 1, "threads": 1, "threads_alone": 1}
BATCH = 16
Maker = Callable[..., Job]

compiled = pytest.mark.skipif(
    shutil.which("g++") is None, reason="DeepSpeed compiles its CPU transport"
)


LAUNCHERS = {
    "torchrun": "--standalone --nproc_per_node {n} --no-python",
    "accelerate": "launch --multi_gpu --num_processes {n} --no_python",
    "deepspeed": "--num_gpus {n} --no_python --no_local_rank",
}
"""With what docs/seven-billion.md gives each; it takes processors for GPUs where there is none."""


def launch(processes: int, launcher: str = "torchrun") -> str:
    program = Path(sys.executable).with_name(launcher)
    return f"{program} {LAUNCHERS[launcher].format(n=processes)}"


@pytest.fixture
def job(
    make_model: Any, tokenizer: Any, training: Any, settings: Training, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Maker:  # fmt: skip
    """Return a maker of jobs on 48 rows, each in a folder of its own."""
    from reproduce.models.tokenization import encode_example

    for name, value in {"DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    start = tmp_path / "start"
    make_model().save_pretrained(start)
    tokenizer.save_pretrained(start)
    examples = [e for name in ("qa-single", "lists") for e in training[name][:24]]
    found = [encode_example(tokenizer, example, 128) for example in examples]
    write_rows(tmp_path / "rows.jsonl", [row for row in found if row])

    def make(name: str, micro: int = 8, epochs: float = 2, **hardware: Any) -> Job:
        (tmp_path / name).mkdir()
        chosen = settings.model_copy(
            update={"micro_batch_size": micro, "batch_size": BATCH, "epochs": epochs}
        )
        return Job(
            title=name, start=str(start), rows=str(tmp_path / "rows.jsonl"),
            target=str(tmp_path / name), seed=1, order=5, threads=1, stops=1, training=chosen,
            hardware=Hardware(**{**PLAIN, **hardware}), keeper="arm/x",
        )  # fmt: skip

    return make


def finished(job: Job) -> list[float]:
    """Carry out a job, in processes of its own if it is launched; return its losses."""
    rows = [json.loads(line) for line in Path(job.rows).read_text().splitlines()]
    return [row["loss"] for row in carried_out(job, rows)]


def tensors(folder: str, name: str = "model") -> Any:
    from safetensors.torch import load_file

    return load_file(Path(folder) / name / "model.safetensors")


def compared(
    note: Note, run: str, found: list[float], expected: list[float], allowed: float
) -> None:
    """Hold the losses of a run to those that are expected, and note how near they are."""
    furthest = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    note("Losses of runs that are to be equal", {
        "run": run, "steps": len(found), "largest difference (nats)": f"{furthest:.1e}",
        "allowed": f"{allowed:.0e}",
    })  # fmt: skip
    assert furthest <= allowed


def closest(one: Any, other: Any) -> float:
    """Return the largest difference of two sets of weights of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)


@compiled
@pytest.mark.parametrize(
    ("stage", "micro", "launcher"),
    [
        *((stage, micro, launcher) for stage in ("zero2", "zero3")
          for micro, launcher in zip((1, 2, 4), LAUNCHERS, strict=True)),
        ("zero3-offload", 2, "torchrun"),
    ],
)  # fmt: skip
def test_two_processes_take_the_steps_of_one(
    job: Maker, stage: str, micro: int, launcher: str, note: Note
) -> None:
    plain = job("plain", micro)
    settings = str(ROOT / "deepspeed" / f"{stage}.json")
    both = job("both", micro, devices=2, launch=launch(2, launcher), deepspeed=settings)
    expected = finished(plain)
    assert len(expected) == 6
    accumulated = BATCH // (2 * micro)
    title = (
        f"{stage}, 2 processes of {launcher}, batches of {micro}, accumulated over {accumulated}"
    )
    compared(note, title, finished(both), expected, 1e-4)
    assert closest(tensors(plain.target), tensors(both.target)) < 1e-4
    stop = "stop-3"
    assert closest(tensors(plain.target, stop), tensors(both.target, stop)) < 1e-4


@compiled
def test_deepspeed_in_one_process_needs_no_launcher(job: Maker) -> None:
    settings = str(ROOT / "deepspeed" / "zero2.json")
    # A process of its own all the same: DeepSpeed leaves a process group behind.
    alone = job("alone", 4, deepspeed=settings, launch=f"{sys.executable} -m")
    assert finished(alone) == pytest.approx(finished(job("plain", 4)), abs=1e-4)


def test_two_processes_without_deepspeed_take_the_steps_of_one(job: Maker, note: Note) -> None:
    expected = finished(job("plain", 2))
    both = finished(job("both", 2, devices=2, launch=launch(2)))
    compared(note, "no DeepSpeed, 2 processes", both, expected, 1e-5)


TWO_NODES = """
port=$1; shift
for node in 0 1; do
  {torchrun} --nnodes 2 --nproc_per_node 1 --rdzv_backend c10d --rdzv_id two \\
    --rdzv_endpoint 127.0.0.1:$port --no-python "$@" & pids="$pids $!"
done
for pid in $pids; do wait $pid || exit 1; done
"""
"""What `srun` does on two nodes: one launcher on each, which meet at an address."""


def test_two_launchers_meet_and_take_the_steps_of_one(
    job: Maker, tmp_path: Path, note: Note
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = tmp_path / "two-nodes.sh"
    torchrun = Path(sys.executable).with_name("torchrun")
    script.write_text(TWO_NODES.format(torchrun=torchrun), encoding="utf-8")
    expected = finished(job("plain", 2))
    both = job("both", 2, devices=2, launch=f"bash {script} {port}")
    compared(note, "two launchers, as on two nodes", finished(both), expected, 1e-5)


def killed(job: Job, after: int) -> None:
    """Start a job and kill it once it has a checkpoint of at least the step `after`."""
    path = Path(job.target) / "job.json"
    write_json(path, job.model_dump(mode="json"))
    alone = [sys.executable, "-m"]
    words = [*(shlex.split(job.hardware.launch) or alone), "reproduce", "train", str(path)]
    with subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            states = kept("arm/x").glob("*/checkpoint-*/trainer_state.json")
            if any(int(state.parent.name[11:]) >= after for state in states):
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)


ZERO3 = {"deepspeed": str(ROOT / "deepspeed" / "zero3.json"), "devices": 2, "launch": launch(2)}


@pytest.mark.parametrize("more", [{}, pytest.param({"micro": 2, **ZERO3}, marks=compiled)])
def test_a_stopped_run_goes_on_with_the_same_losses(
    job: Maker, more: dict[str, Any], note: Note
) -> None:
    whole = job("whole", epochs=12, save_every=10, **more)
    expected = finished(whole)
    assert [path.name for path in kept("arm/x").glob("*/*")] == ["trained"]
    cut = job("cut", epochs=12, save_every=10, **more)
    killed(cut, 10)
    assert list(kept("arm/x").glob("*/checkpoint-*"))
    title = "killed and resumed, " + ("zero3, 2 processes" if more else "1 process")
    compared(note, title, finished(cut), expected, 1e-5)
    assert closest(tensors(whole.target), tensors(cut.target)) < 1e-5
    assert (Path(cut.target) / "stop-18" / "model.safetensors").is_file()


def test_a_launcher_that_fails_is_named(job: Maker) -> None:
    with pytest.raises(ConfigError, match=r"both: `false reproduce train .*status 1"):
        finished(job("both", devices=2, launch="false"))


def test_fewer_processes_than_devices_are_refused(job: Maker) -> None:
    with pytest.raises(ConfigError, match="failed with status 1"):
        finished(job("both", 2, devices=4, launch=launch(2)))


def test_a_job_is_read_as_it_was_written(job: Maker, tmp_path: Path) -> None:
    made = job("one", micro=4)
    write_json(tmp_path / "job.json", made.model_dump(mode="json"))
    assert read_job(tmp_path / "job.json") == made
