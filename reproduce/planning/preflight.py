"""Whether a study can run here, checked before it runs: pins, disk, GPUs, servers, real steps."""

import json
import os
import re
import resource
import shlex
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import typer

from reproduce.config import Params, Training, check_ready, pins
from reproduce.models.load import find_checkpoint, load_model, load_tokenizer
from reproduce.models.tokenization import TokenRow, prompt_ids
from reproduce.planning.plan import COPIES, GB, model_size, peak_disk, plan_stages
from reproduce.schema import read_sets
from reproduce.study import Study, load_study
from reproduce.utils.files import UserError, read_json
from reproduce.utils.hardware import resolve_precision, use_one_gpu
from reproduce.utils.openai_client import make_client

Check = Callable[[], str | None]
"""Returns what it found, or raises an exception that says what is wrong."""
TIMEOUT = 20.0
"""Seconds that a server may take to answer."""


class CheckError(UserError):
    """Something that the study needs and this machine lacks."""


def preflight(
    nodes: Annotated[int, typer.Option(min=1, help="machines that train together")] = 1,
    steps: Annotated[bool, typer.Option(help="also train and generate for a step")] = False,
) -> None:
    """Check, line by line, that the study can run here; fails if any line does."""
    study = load_study()
    use_one_gpu(study.params)
    params = resolve_precision(study.params)
    key = os.environ.get(params.servers.judge.key, "") if params.servers.judge else ""
    if not run_checks(checks_of(study, params, nodes, steps), key):
        raise typer.Exit(1)


def run_checks(checks: Mapping[str, Check], key: str = "") -> bool:
    """Print a line per check, without the judge's `key`; return whether all pass."""
    all_pass = True
    for name, check in checks.items():
        try:
            mark, text = "pass", check() or "yes"
        except Exception as error:
            mark, text, all_pass = "FAIL", f"{type(error).__name__}: {error}", False
        # An error may quote the key as Python writes it.
        for form in {key, key.strip(), repr(key)[1:-1]} - {""}:
            text = text.replace(form, "***")
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
    if hardware.launch:
        checks["launcher"] = partial(check_launcher, hardware.launch)
    if hardware.deepspeed:
        checks["DeepSpeed"] = partial(check_deepspeed, params, hardware.deepspeed)
    if params.judging.llm_judge:
        ratings = int((frame["seeds"] * frame["ratings"]).sum())
        checks["LLM judge"] = partial(check_llm_judge, params, ratings)
    if steps:
        for run in filter(None, (params.training, params.base.training)):
            name = f"step of {run.micro_batch_size} x {run.max_length} tokens"
            checks[name] = partial(take_step, study, params, run)
        checks["generation"] = partial(generate_batch, study, params)
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
    """Raise CheckError where the rest of the study does not fit on the disk."""
    present = sum(path.stat().st_size for path in artifacts.rglob("*") if path.is_file())
    missing, free = max(0, needed - COPIES * present), shutil.disk_usage(Path()).free
    text = f"{free / GB:,.1f} GB are free, the study takes {missing / GB:,.1f} GB more"
    return _require(missing <= free, text)


def check_gpus(number: int, memory: int) -> str:
    """Raise CheckError for fewer GPUs, or one with fewer bytes of memory, than the plan needs."""
    import torch

    gpus = range(torch.cuda.device_count())
    sizes = [torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus]
    smallest = min(sizes, default=0)
    text = (
        f"{len(sizes)} with at least {smallest / GB:.1f} GB; the study needs {number} with "
        f"{memory / GB:.1f} GB and room for activations"
    )
    return _require(len(sizes) >= number and smallest >= memory, text)


def check_launcher(launch: str) -> str:
    """Raise CheckError where the launcher, or what it starts, is not on the PATH."""
    programs = shlex.split(os.path.expandvars(launch))[0], "reproduce"
    missing = [program for program in programs if shutil.which(program) is None]
    return _require(not missing, f"missing on the PATH: {', '.join(missing) or 'none'}")


def check_deepspeed(params: Params, source: str) -> str:
    """Raise CheckError for an "auto" in DeepSpeed's configuration that the Trainer leaves."""
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    from reproduce.training.trainer import training_arguments

    settings = params.training
    single = params.hardware.model_copy(update={"deepspeed": None, "devices": 1, "launch": ""})
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(settings, single, 0, Path(folder), settings.batch_size)
    config = HfTrainerDeepSpeedConfig(read_json(Path(source)))
    config.trainer_config_process(arguments)
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=1))
    config.trainer_config_finalize(arguments, model, arguments.max_steps)
    unresolved = re.findall(r'"(\w+)": "auto"', json.dumps(config.config))
    return _require(not unresolved, f"{source}: unresolved: {', '.join(unresolved) or 'none'}")


def check_llm_judge(params: Params, ratings: int) -> str:
    """Raise CheckError for a budget that is too small, or a server that lacks the model."""
    server, settings = params.servers.judge, params.judging.llm_judge
    assert server and settings
    text = f"{ratings:,} ratings of servers.judge.budget {server.budget:,}"
    _require(ratings <= server.budget, text)
    client = make_client(server).with_options(timeout=TIMEOUT, max_retries=0)
    models = [model.id for model in client.models.list()]
    text += f"; {settings.model} at {server.url}, which lists {', '.join(models[:10]) or 'none'}"
    return _require(settings.model in models or not models, text)


def _require(condition: bool, text: str) -> str:
    if not condition:
        raise CheckError(text)
    return text


def take_step(study: Study, params: Params, settings: Training) -> str:
    """Take one optimiser step on rows of full length, through the launcher if there is one."""
    from reproduce.training.launch import Job, run_training

    start = find_checkpoint(study.artifacts / "models" / "pretrained", params.seeds[0])
    row: TokenRow = {"input_ids": [1] * settings.max_length, "labels": [1] * settings.max_length}
    shared = study.folder / ".cache"  # All nodes see it.
    shared.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        job = Job(
            title="preflight", stage="preflight", start=str(start), output_dir=folder, seed=0,
            data_seed=0, num_intermediate_evals=0,
            training=settings.model_copy(update={"epochs": 1.0}),
            hardware=params.hardware.model_copy(update={"save_every": None}),
        )  # fmt: skip
        cost = measure(lambda: run_training(job, [row] * settings.batch_size))
    return f"{settings.batch_size} rows; {cost}, loading and saving included"


def generate_batch(study: Study, params: Params) -> str:
    """Respond to one batch of the longest evaluation prompts.

    Raises CheckError where the model has no positions left for a response.
    """
    from reproduce.generation.generate import GREEDY, generate

    start = find_checkpoint(study.artifacts / "models" / "pretrained", params.seeds[0])
    tokenizer, bounds = load_tokenizer(start), params.generation
    sets = read_sets(study.artifacts / "data" / "evaluation").values()
    sized = [(len(prompt_ids(tokenizer, e)), e) for examples in sets for e in examples]
    longest = sorted(sized, key=lambda entry: -entry[0])[: bounds.batch_size]
    model = load_model(start, params.hardware, half=True)
    free = model.config.max_position_embeddings - bounds.max_new_tokens
    text = f"prompts of at most {longest[0][0]} tokens, there is room for {free}"
    _require(longest[0][0] <= free, text)
    prompts = [example for _, example in longest]
    cost = measure(lambda: generate(model, tokenizer, prompts, GREEDY, bounds, 0))
    return f"{len(prompts)} {text}; {cost}"


def measure(work: Callable[[], object]) -> str:
    """Return what a piece of work took: seconds, and GB of the fullest GPU or largest process."""
    import torch

    fullest, finished = [0], threading.Event()

    def watch() -> None:  # A launcher's processes use the GPUs, too.
        while not finished.wait(0.1):
            for gpu in range(torch.cuda.device_count()):
                free, total = torch.cuda.mem_get_info(gpu)
                fullest[0] = max(fullest[0], total - free)

    threading.Thread(target=watch).start()
    began = time.monotonic()
    try:
        work()
    finally:
        finished.set()
    seconds, who = time.monotonic() - began, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    largest = fullest[0] or 1024 * max(resource.getrusage(process).ru_maxrss for process in who)
    return f"{seconds:.1f} s, {largest / GB:.1f} GB"
