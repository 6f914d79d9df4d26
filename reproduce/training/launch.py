"""A training run as a file, so that it goes through a launcher as well as through this process."""

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from reproduce.config import ConfigError, Hardware, Training
from reproduce.config.types import Strict
from reproduce.models.load import load_model, load_tokenizer
from reproduce.training.speed import note_speed
from reproduce.training.trainer import train, training_arguments
from reproduce.utils.determinism import settle
from reproduce.utils.files import digest, read_json, read_rows, text_id, write_json, write_rows

Row = dict[str, Any]

CHECKPOINTS = Path(".cache/training")
"""Where a run keeps what it needs to go on after it was stopped, below the working directory."""
TRAINED = "trained"
"""What a finished run is called there."""


class Job(Strict):
    """One training run.

    Attributes:
        title: heads its lines of progress.
        start: folder of the model that is trained further.
        rows: file of its encoded rows.
        target: folder that gets `model`, `history.json` and a `stop-N` for each of `stops`.
        seed: of everything but the data order.
        order: seed of the data order.
        threads: of each process.
        keeper: whose run it is; with `hardware.save_every` its checkpoints and its result are kept
            below CHECKPOINTS under this name, until `forget` is called with it.
    """

    title: str
    start: str
    rows: str
    target: str
    seed: int
    order: int
    threads: int
    stops: int
    training: Training
    hardware: Hardware
    keeper: str


def carried_out(job: Job, rows: list[Row]) -> list[dict[str, float]]:
    """Train as `job` says, on `rows`, and return its history; under the launcher if there is one.

    A run whose checkpoints are kept, and that was trained to its end before, is not trained again.

    Raises ConfigError where the launcher fails.
    """
    target = Path(job.target)
    write_rows(Path(job.rows), rows)
    if not job.hardware.save_every:
        _launched(job)
    else:
        trained = _work(job) / TRAINED
        # Its history is written last.
        if not (trained / "history.json").is_file():
            trained.mkdir(parents=True, exist_ok=True)
            _launched(job.model_copy(update={"target": str(trained)}))
        shutil.copytree(trained, target, copy_function=_link, dirs_exist_ok=True)
    return list(read_json(target / "history.json"))


def forget(keeper: str) -> None:
    """Remove what runs of `keeper` have kept, which their stage needs until it is finished."""
    shutil.rmtree(kept(keeper), ignore_errors=True)


def kept(keeper: str) -> Path:
    """Return the folder, directly below CHECKPOINTS, of what runs of `keeper` keep."""
    return CHECKPOINTS / keeper.replace("/", "@")


def _launched(job: Job) -> None:
    if not job.hardware.launch:
        run_job(job)
        return
    path = Path(job.target) / "job.json"
    write_json(path, job.model_dump(mode="json"))
    prefix = shlex.split(os.path.expandvars(job.hardware.launch))
    command = [*prefix, "reproduce", "train", str(path)]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise ConfigError(
            f"{job.title}: `{shlex.join(command)}` failed with status {done.returncode} "
            "(hardware.launch); its own messages stand above"
        )
    path.unlink()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)  # Another file system, or one without links.


def read_job(path: Path) -> Job:
    """Return the job of a file."""
    return Job.model_validate(read_json(path))


def run_job(job: Job) -> None:
    """Train as `job` says; in a launcher, one of several processes that do so together."""
    settle(job.seed, job.threads)
    rows = read_rows(Path(job.rows))
    work = _work(job)
    arguments = training_arguments(job.training, job.hardware, job.order, work, len(rows))
    if job.hardware.deepspeed:
        from deepspeed.comm import init_distributed

        # ZeRO-3 spreads a model while it is loaded, and must know by then over how many.
        init_distributed()
    start = Path(job.start)
    model, tokenizer = load_model(start, job.hardware), load_tokenizer(start)
    # ZeRO-3 has spread them: a process holds a part of each.
    parameters = sum(getattr(each, "ds_numel", each.numel()) for each in model.parameters())
    resumed = any(work.glob("checkpoint-*"))
    began = time.perf_counter()
    history, save = train(model, tokenizer, rows, arguments, job.title, job.stops)
    seconds = time.perf_counter() - began
    save(Path(job.target) / "model")
    if arguments.process_index == 0:
        for stop in sorted(work.glob("stop-*")):
            shutil.move(stop, Path(job.target) / stop.name)
        write_json(Path(job.target) / "history.json", history)
        if not resumed:  # Else the seconds are of a part of the run.
            tokens = job.training.epochs * sum(row["length"] for row in rows)
            note_speed(job.keeper, job.title, tokens, seconds, parameters)
        for left in work.glob("checkpoint-*") if job.hardware.save_every else [work]:
            shutil.rmtree(left, ignore_errors=True)


def _work(job: Job) -> Path:
    """Return the folder of a run's checkpoints: where it is not kept, one of its own."""
    if not job.hardware.save_every:
        return Path(job.target) / "work"
    # Named by all that decides the run, so that another run never goes on from here.
    rows = Path(job.rows).read_text(encoding="utf-8")
    weights = [digest(path) for path in sorted(Path(job.start).glob("*.safetensors"))]
    told = job.model_dump_json(exclude={"target", "rows", "start"})
    return kept(job.keeper) / text_id(told, rows, *weights)
