"""Whether a study can run here, checked before it runs: pins, disk, GPUs, the judge, real steps."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from reproduce.config import Params, Training, check_ready, pins
from reproduce.models.load import find_checkpoint
from reproduce.models.tokenization import TokenRow
from reproduce.planning.plan import COPIES, GB, model_size, peak_disk, plan_stages
from reproduce.study import Study, load_study
from reproduce.utils.files import UserError
from reproduce.utils.hardware import use_one_gpu
from reproduce.utils.openai_client import make_client

Check = Callable[[], str | None]
"""Returns what it found, or raises an exception that says what is wrong."""
TIMEOUT = 20.0
"""Seconds that a server may take to answer."""


def preflight(
    nodes: Annotated[int, typer.Option(min=1, help="machines that train together")] = 1,
    steps: Annotated[bool, typer.Option(help="also train for a step")] = False,
) -> None:
    """Check, line by line, that the study can run here; fails if any line does."""
    study = load_study()
    params = study.params
    use_one_gpu(params)
    if not run_checks(checks_of(study, params, nodes, steps)):
        raise typer.Exit(1)


def run_checks(checks: Mapping[str, Check]) -> bool:
    """Print a line per check; return whether all pass."""
    all_pass = True
    for name, check in checks.items():
        try:
            mark, text = "pass", check() or "yes"
        except Exception as error:
            mark, text, all_pass = "FAIL", f"{type(error).__name__}: {error}", False
        print(f"{mark}  {name:{max(map(len, checks))}}  {' '.join(text.split())}", flush=True)
    return all_pass


def checks_of(study: Study, params: Params, nodes: int, steps: bool) -> dict[str, Check]:
    """Return the checks that apply to a profile, by name."""
    hardware = params.hardware
    frame = plan_stages(params, study.arms, model_size(params.base, params.training.lora), nodes)
    checks: dict[str, Check] = {"parameters": partial(check_ready, params)}
    for place, (name, revision) in pins(params).items():
        if revision and "://" not in name:
            checks[place] = partial(check_pin, name, revision, place.startswith("data."))
    checks["disk"] = partial(check_disk, peak_disk(frame), study.artifacts)
    if params.for_gpus:
        memory = int(frame["memory"].max())
        checks["GPUs"] = partial(check_gpus, hardware.devices // nodes, memory)
    if params.judging.llm_judge:
        ratings = int((frame["seeds"] * frame["ratings"]).sum())
        checks["LLM judge"] = partial(check_llm_judge, params, ratings)
    if steps:
        for run in filter(None, (params.training, params.base.training)):
            name = f"step of {run.micro_batch_size} x {run.max_length} tokens"
            checks[name] = partial(take_step, study, params, run)
    return checks


def check_pin(name: str, revision: str, is_dataset: bool) -> str:
    """Raise the error of the Hub's client for a repository that is missing or gated."""
    from huggingface_hub import HfApi

    api, kind = HfApi(endpoint=os.environ.get("HF_ENDPOINT")), "dataset" if is_dataset else "model"
    info = api.repo_info(name, repo_type=kind, revision=revision, timeout=TIMEOUT)
    if getattr(info, "gated", False):
        api.auth_check(name, repo_type=kind)
    return f"{name} has {revision}"


def check_disk(needed: int, artifacts: Path) -> str:
    """Raise UserError where the rest of the study does not fit on the disk."""
    present = sum(path.stat().st_size for path in artifacts.rglob("*") if path.is_file())
    missing, free = max(0, needed - COPIES * present), shutil.disk_usage(Path()).free
    text = f"{free / GB:,.1f} GB are free, the study takes {missing / GB:,.1f} GB more"
    if missing > free:
        raise UserError(text)
    return text


def check_gpus(number: int, memory: int) -> str:
    """Raise UserError for fewer GPUs, or one with fewer bytes of memory, than the plan needs."""
    import torch

    gpus = range(torch.cuda.device_count())
    sizes = [torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus]
    smallest = min(sizes, default=0)
    text = (
        f"{len(sizes)} with at least {smallest / GB:.1f} GB; the study needs {number} with "
        f"{memory / GB:.1f} GB and room for activations"
    )
    if len(sizes) < number or smallest < memory:
        raise UserError(text)
    return text


def check_llm_judge(params: Params, ratings: int) -> str:
    """Raise UserError for a budget that is too small, or a server that lacks the model."""
    from openai import OpenAIError

    server, settings = params.judge_server, params.judging.llm_judge
    assert server and settings
    text = f"{ratings:,} ratings of judge_server.budget {server.budget:,}"
    if ratings > server.budget:
        raise UserError(text)
    client = make_client(server).with_options(timeout=TIMEOUT, max_retries=0)
    try:
        models = [model.id for model in client.models.list()]
    except OpenAIError as error:  # Some servers repeat the key that they refuse.
        raise UserError(str(error).replace(client.api_key, "***")) from None
    text += f"; {settings.model} at {server.url}, which lists {', '.join(models[:10]) or 'none'}"
    if models and settings.model not in models:
        raise UserError(text)
    return text


def take_step(study: Study, params: Params, settings: Training) -> str:
    """Take one optimiser step on rows of full length, through the launcher if there is one.

    Returns the seconds that it took.
    """
    from reproduce.training.launch import Job, run_training

    start = find_checkpoint(study.artifacts / "models" / "pretrained", params.seeds[0])
    row: TokenRow = {"input_ids": [1] * settings.max_length, "labels": [1] * settings.max_length}
    shared = study.folder / ".cache"  # All nodes see it.
    shared.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        job = Job(
            title="preflight", stage="preflight", start=str(start), output_dir=folder, seed=0,
            data_seed=0, num_intermediate_evals=0,
            training=settings.model_copy(update={"epochs": None, "steps": 1}),
            hardware=params.hardware.model_copy(update={"save_every": None}),
        )  # fmt: skip
        began = time.monotonic()
        run_training(job, [row] * settings.batch_size)
    seconds = time.monotonic() - began
    return f"{settings.batch_size} rows; {seconds:.1f} s, loading and saving included"
