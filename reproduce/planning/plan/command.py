"""The command `reproduce plan`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from reproduce.config import ConfigError, Params

Number = float | None


def _above_0(help: str) -> Any:
    return typer.Option(help=help, callback=_refuse_0)


def _refuse_0(value: Number) -> Number:
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value:g} is not above 0 and finite")
    return value


def plan(
    gpu: Annotated[
        str, typer.Option(help="A100-40G, A100-80G, H100-80G, H200-141G or any name")
    ] = "A100-80G",
    gpus: Annotated[int | None, typer.Option(min=0, help="on each node; 0 for none")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="machines that train together")] = 1,
    devices: Annotated[int | None, typer.Option(min=1, help="as if hardware.devices were")] = None,
    gpu_memory: Annotated[Number, _above_0("GB of a GPU")] = None,
    tflops: Annotated[Number, _above_0("peak of dense bf16, 10^12 a second")] = None,
    bandwidth: Annotated[Number, _above_0("of a GPU's memory, GB a second")] = None,
    host_memory: Annotated[Number, _above_0("GB of main memory of a node")] = None,
    disk: Annotated[Number, _above_0("GB that may be filled; else what is free")] = None,
    mfu: Annotated[Number, _above_0("share of the peak in training")] = None,
    tokens_per_example: Annotated[Number, _above_0("of a training row")] = None,
    price_per_gpu_hour: Annotated[Number, typer.Option(min=0, help="in any currency")] = None,
    price_per_call: Annotated[Number, typer.Option(min=0, help="of the served judge")] = None,
    assume: Annotated[
        list[str] | None, typer.Option(help="name=number, of those it prints")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="file that gets it as Markdown")] = None,
) -> None:
    """Say what the study would take on given hardware, before anything runs.

    Hours, memory of a GPU, disk, downloads and requests to the judge, stage by stage, with all
    that was assumed. Fails, naming the numbers, where the study does not fit.
    """
    from reproduce.planning.plan import page
    from reproduce.planning.plan.assumptions import Machine, assumed, gpu_of, parsed
    from reproduce.planning.plan.make import make_plan, with_devices
    from reproduce.study import settings
    from reproduce.utils.files import write_text

    params, experiments = settings()
    params = with_devices(params, devices)
    own = {"mfu": mfu, "tokens_per_example": tokens_per_example}
    given = {name: value for name, value in own.items() if value is not None}
    number = _usual_gpus(params, nodes) if gpus is None else gpus
    chosen = gpu_of(gpu, gpu_memory, tflops, bandwidth)
    machine = Machine(gpu, chosen, number, nodes, disk, host_memory)
    prices = page.Prices(price_per_gpu_hour, price_per_call)
    assumptions = assumed(params, {**parsed(assume or []), **given})
    found = make_plan(params, experiments, machine, assumptions, prices)
    print(page.terminal(found))
    if found.refused:
        raise ConfigError("it cannot run:\n" + "\n".join(f"  {said}" for said in found.refused))
    if output:
        words = shlex.join(sys.argv[1:])
        said = f"Made by `reproduce {words}` in the folder of the profile.\n"
        write_text(output, f"{page.markdown(found)}\n{said}")


def _usual_gpus(params: Params, nodes: int) -> int:
    """Return the GPUs of each node that a profile is made for; 0 for one that needs none."""
    return max(1, params.hardware.devices // nodes) if params.for_gpus else 0
