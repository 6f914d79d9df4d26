"""A training run: in this process, or as a file that a launcher's processes read."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from reproduce.config import ConfigError, Hardware, Training
from reproduce.config.params import Strict
from reproduce.models.adapter import ADAPTER, add_adapter, merge_adapter
from reproduce.models.load import load_model, load_tokenizer
from reproduce.models.tokenization import TokenRow
from reproduce.training.sampler import num_steps
from reproduce.training.trainer import (
    NOT_THE_MODEL,
    TRAINER_STATE,
    intermediate_steps,
    loss_history,
    train,
    training_arguments,
)
from reproduce.utils.files import (
    file_sha256,
    read_json,
    read_rows,
    short_hash,
    write_json,
    write_rows,
)
from reproduce.utils.seeds import set_determinism

CHECKPOINTS = Path(".cache/training")
"""Checkpoints of runs that can be resumed, below the working directory."""


class Job(Strict):
    """One training run.

    Attributes:
        title: names the run in messages.
        stage: the stage that the run belongs to; `remove_checkpoints` takes it.
        start: folder of the model that is trained further.
        output_dir: folder that gets the model and its tokenizer.
        seed: of everything but the data order.
        data_seed: of the data order.
        num_intermediate_evals: models that are saved on the way, at equal distances.
    """

    title: str
    stage: str
    start: str
    output_dir: str
    seed: int
    data_seed: int
    num_intermediate_evals: int
    training: Training
    hardware: Hardware


Trained = tuple[list[dict[str, float]], dict[int, Path]]
"""One {step, loss, learning_rate} per logged step, and step -> folder of the models, in order."""


def run_training(job: Job, rows: Sequence[TokenRow]) -> Trained:
    """Train on `rows`, and write the model and those on the way to `job.output_dir`.

    With hardware.save_every, a run that was stopped goes on from its last checkpoint, and a
    finished one is not repeated, until `remove_checkpoints` is called.

    Raises ConfigError where the launcher fails, FloatingPointError where the loss is no number.
    """
    output_dir, start = Path(job.output_dir), Path(job.start)
    work = output_dir / "training"
    if job.hardware.save_every:
        # The name depends on all that decides the run, so that no other run resumes from it.
        settings = job.model_dump_json(exclude={"start", "output_dir"})
        weights = [file_sha256(path) for path in sorted(start.glob("*.safetensors"))]
        work = _stage_folder(job.stage) / short_hash(settings, json.dumps(rows), *weights)
    steps = num_steps(len(rows), job.training)
    last = work / f"checkpoint-{steps}"
    if not (last / TRAINER_STATE).is_file():
        if job.hardware.launch:
            _launch(job, rows, work)
        else:
            run_job(job, rows, work)
    history = read_json(last / TRAINER_STATE)["log_history"]
    folders = {
        step: output_dir / "intermediate" / f"step-{step}"
        for step in sorted(intermediate_steps(steps, job.num_intermediate_evals))
    } | {steps: output_dir}
    for step, folder in folders.items():
        checkpoint = work / f"checkpoint-{step}"
        if job.training.lora:
            # What an arm starts from is a whole model, also where it was trained as an adapter.
            shutil.copytree(checkpoint, folder / ADAPTER, ignore=NOT_THE_MODEL)
            merge_adapter(start, folder / ADAPTER, job.hardware, folder)
        else:
            shutil.copytree(checkpoint, folder, ignore=NOT_THE_MODEL, dirs_exist_ok=True)
        load_tokenizer(start).save_pretrained(folder)
    if not job.hardware.save_every:
        shutil.rmtree(work)
    return loss_history(history), folders


def remove_checkpoints(stage: str) -> None:
    """Remove the checkpoints of a stage's runs, which it needs until it is finished."""
    shutil.rmtree(_stage_folder(stage), ignore_errors=True)


def _stage_folder(stage: str) -> Path:
    return CHECKPOINTS / stage.replace("/", "@")


def _launch(job: Job, rows: Sequence[TokenRow], work: Path) -> None:
    write_json(work / "job.json", job.model_dump(mode="json"))
    write_rows(work / "rows.jsonl", rows)
    launcher = shlex.split(os.path.expandvars(job.hardware.launch))
    command = [*launcher, "reproduce", "train", str(work / "job.json")]
    status = subprocess.run(command, check=False).returncode
    if status:
        raise ConfigError(
            f"{job.title}: `{shlex.join(command)}` (hardware.launch) failed with status {status}; "
            "its own messages are above"
        )


def run_job_file(path: Path) -> None:
    """Train as the job in a file says: what each process of a launcher does."""
    rows = cast(list[TokenRow], read_rows(path.with_name("rows.jsonl")))
    run_job(Job(**read_json(path)), rows, path.parent)


def run_job(job: Job, rows: Sequence[TokenRow], work: Path) -> None:
    """Train, and leave the checkpoint of the last step in `work`."""
    set_determinism(job.seed, job.hardware.threads)
    arguments = training_arguments(job.training, job.hardware, job.data_seed, work, len(rows))
    if job.hardware.deepspeed:
        from deepspeed.comm import init_distributed

        # ZeRO-3 spreads a model while it is loaded, and must know by then over how many.
        init_distributed()
    start = Path(job.start)
    lora, pad_id = job.training.lora, load_tokenizer(start).pad_token_id or 0
    model = load_model(
        start, job.hardware, half=lora is not None, place=not job.hardware.deepspeed,
        four_bits=lora is not None and lora.quantised_base,
    )  # fmt: skip
    if lora:
        model = add_adapter(model, lora)
    window = job.training.window
    train(model, rows, pad_id, arguments, job.title, job.num_intermediate_evals, window)
