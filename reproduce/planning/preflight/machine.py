"""Whether disk, GPUs, compilers and DeepSpeed are there as a profile needs them."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reproduce.config import Arm, Params, refuse_unset
from reproduce.planning.plan.assumptions import GIGA, GPUS, Machine, assumed
from reproduce.planning.plan.costs import peak_of_disk
from reproduce.planning.plan.make import make_plan, size_of
from reproduce.planning.plan.page import Plan, Prices
from reproduce.planning.plan.shapes import shape_of
from reproduce.planning.preflight.lines import Check, Found, failed, not_applicable, passed
from reproduce.planning.preflight.servers import on_path
from reproduce.study import ARTIFACTS
from reproduce.utils.files import read_json

Arms = Mapping[str, Mapping[str, Arm]]


def machine_checks(params: Params, experiments: Arms, nodes: int) -> dict[str, Check]:
    """Return the checks of this machine, one of `nodes` that train together."""
    return {
        "disk": lambda: disk_holds(params, experiments),
        "GPUs": lambda: gpus_there(params, nodes, gpu_memories()),
        "memory of each GPU": lambda: gpus_hold(params, experiments, nodes, gpu_memories()),
        "NCCL": lambda: nccl_there(params, len(gpu_memories())),
        "DeepSpeed's configuration": lambda: deepspeed_resolves(params),
        "launcher": lambda: launcher_there(params),
        "compiler": lambda: compiler_there(params, len(gpu_memories())),
    }


def gpu_memories() -> list[int]:
    """Return the bytes of memory of each GPU of this machine."""
    import torch

    count = torch.cuda.device_count()
    return [int(torch.cuda.get_device_properties(n).total_memory) for n in range(count)]


def disk_holds(params: Params, experiments: Arms) -> Found:
    """Return whether the disk holds what the plan says, less the artifacts that are there."""
    plan = _plan(params, experiments, params.hardware.devices, 1)
    there = plan.assumed.copies * size_of(ARTIFACTS)
    needed, free = peak_of_disk(plan.found) - there, shutil.disk_usage(Path()).free
    said = f"{free / GIGA:,.1f} GB are free, the study takes {max(0, needed) / GIGA:,.1f} GB more"
    if needed > free:
        return failed(f"{said}: make room, or see `reproduce plan` for what takes it")
    return passed(said)


def gpus_there(params: Params, nodes: int, memories: list[int]) -> Found:
    """Return whether this machine has its share of hardware.devices."""
    wanted = params.hardware.devices
    if not params.for_gpus:
        return not_applicable(f"the profile needs none; {len(memories)} found")
    if wanted % nodes:
        return failed(f"hardware.devices {wanted} do not divide among --nodes {nodes}")
    if len(memories) < wanted // nodes:
        return failed(
            f"{len(memories)} found, {wanted // nodes} wanted (hardware.devices {wanted} on "
            f"{nodes} nodes): change hardware.devices and hardware.launch, or look at `nvidia-smi` "
            "and CUDA_VISIBLE_DEVICES"
        )
    return passed(f"{len(memories)} found, {wanted // nodes} wanted")


def gpus_hold(params: Params, experiments: Arms, nodes: int, memories: list[int]) -> Found:
    """Return whether the smallest GPU holds what the plan says."""
    if not memories or not params.for_gpus:
        return not_applicable("no GPU here" if not memories else "the profile needs none")
    if params.hardware.devices % nodes:
        return failed(f"hardware.devices {params.hardware.devices} do not divide among {nodes}")
    plan = _plan(params, experiments, params.hardware.devices // nodes, nodes)
    peak = max(cost.peak for cost in plan.found)
    said = f"{min(memories) / GIGA:.1f} GB the smallest, the plan takes {peak / GIGA:.1f} GB"
    if peak > min(memories):
        return failed(f"{said}: see `reproduce plan` for which stage, and take smaller batches")
    return passed(said)


def nccl_there(params: Params, gpus: int) -> Found:
    """Return whether torch can let GPUs talk to each other."""
    import torch.distributed

    if params.hardware.devices == 1 or not gpus:
        return not_applicable("one device, or no GPU")
    if not (torch.distributed.is_available() and torch.distributed.is_nccl_available()):
        return failed("torch was built without NCCL: install a build of torch for CUDA")
    return passed("torch has NCCL")


def launcher_there(params: Params) -> Found:
    """Return whether the launcher and what it starts are on the PATH."""
    if not params.hardware.launch:
        return not_applicable("training runs in the study's own process")
    refuse_unset(params)
    status, said = on_path(os.path.expandvars(params.hardware.launch), "hardware.launch")
    if status == "pass" and shutil.which("reproduce") is None:
        return failed("the launcher starts `reproduce`, which is not on the PATH: activate .venv")
    return status, said


def compiler_there(params: Params, gpus: int) -> Found:
    """Return whether DeepSpeed can compile its transport between processes on CPUs."""
    if not params.hardware.deepspeed or gpus:
        return not_applicable("DeepSpeed compiles a transport where it runs without a GPU only")
    missing = [word for word in ("g++", "ninja") if shutil.which(word) is None]
    if missing:
        return failed(f"not on the PATH: {', '.join(missing)}; install them (build-essential)")
    return passed("g++ and ninja are on the PATH")


def deepspeed_resolves(params: Params) -> Found:
    """Return whether the configuration is read and the Trainer fills in each "auto"."""
    path = params.hardware.deepspeed
    if not path:
        return not_applicable("training runs without DeepSpeed")
    if not isinstance(read_json(Path(path)), dict):
        return failed(f"{path}: no JSON object; see deepspeed/zero3.json for one")
    left = sorted(name for name, value in _leaves(_resolved(params, path)) if value == "auto")
    if left:
        return failed(f"{path}: nobody fills in {', '.join(left)}; give a number in place of auto")
    return passed(f"{path}: every auto is filled in")


def _resolved(params: Params, path: str) -> dict[str, Any]:
    """Return the configuration as the Trainer would fill it in, for one process."""
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    from reproduce.training.trainer import training_arguments

    alone = params.hardware.model_copy(update={"deepspeed": None, "devices": 1, "launch": ""})
    settings, shape = params.training, shape_of(params.base, assumed(params, {}).vocabulary)
    with tempfile.TemporaryDirectory() as work:
        arguments = training_arguments(settings, alone, 0, Path(work), settings.batch_size)
    config = HfTrainerDeepSpeedConfig(path)
    config.trainer_config_process(arguments)
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=shape.hidden))
    config.trainer_config_finalize(arguments, model, arguments.max_steps)
    return dict(config.config)


def _leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", inner


def _plan(params: Params, experiments: Arms, gpus: int, nodes: int) -> Plan:
    # Only bytes are asked of it, which do not depend on how fast a GPU is.
    number = gpus if params.for_gpus else 0
    machine = Machine("this machine", GPUS["A100-80G"], number, nodes)
    return make_plan(params, experiments, machine, assumed(params, {}), Prices())
