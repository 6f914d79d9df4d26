"""What does not fit, each with its numbers and with what to do."""

from collections.abc import Sequence

from reproduce.config import Params
from reproduce.planning.plan.assumptions import GIGA, Machine
from reproduce.planning.plan.costs import Cost, peak_of_disk


def refusals(
    params: Params, machine: Machine, found: Sequence[Cost], host: int, free: int, there: int
) -> list[str]:
    """Return a sentence for each limit that the plan breaks; none where it can run.

    Args:
        params: the profile.
        machine: what it would run on.
        found: the costs of all stages.
        host: bytes of main memory that training takes on each node.
        free: bytes that are free on the disk.
        there: bytes of artifacts that are on the disk already.
    """
    said = [
        _devices(params, machine),
        _memory(machine, found),
        _host(machine, host),
        _disk(machine, found, free, there),
        _ratings(params, found),
    ]
    return [sentence for sentence in said if sentence]


def _devices(params: Params, machine: Machine) -> str:
    wanted = params.hardware.devices
    if not machine.devices or machine.devices == wanted:
        return ""
    return (
        f"--gpus {machine.gpus} on --nodes {machine.nodes} are {machine.devices} GPUs, but "
        f"hardware.devices is {wanted}: make them agree, and have hardware.launch start as many "
        f"processes (--devices {machine.devices} reckons as if it were so)"
    )


def _memory(machine: Machine, found: Sequence[Cost]) -> str:
    fullest = max(found, key=lambda cost: cost.peak)
    if not machine.devices or fullest.peak <= machine.gpu.memory * GIGA:
        return ""
    return (
        f"{fullest.work.stage} takes {fullest.peak / GIGA:.1f} GB of a GPU, which has "
        f"{machine.gpu.memory:g} GB (--gpu, --gpu-memory): take a smaller "
        "training.micro_batch_size or generation.batch_size, hardware.gradient_checkpointing, "
        "more devices, or a hardware.deepspeed that offloads (deepspeed/zero3-offload.json)"
    )


def _host(machine: Machine, host: int) -> str:
    if machine.host is None or host <= machine.host * GIGA:
        return ""
    return (
        f"training takes {host / GIGA:.0f} GB of main memory on each node, which has "
        f"{machine.host:g} GB (--host-memory): offload less (hardware.deepspeed)"
    )


def _disk(machine: Machine, found: Sequence[Cost], free: int, there: int) -> str:
    needed = peak_of_disk(found) - (there if machine.disk is None else 0)
    room = free if machine.disk is None else machine.disk * GIGA
    if needed <= room:
        return ""
    which = "are free here" if machine.disk is None else "may be filled"
    return (
        f"the study takes {needed / GIGA:,.0f} GB of disk, and {room / GIGA:,.0f} GB {which} "
        "(--disk): use fewer seeds or arms, a larger disk, or a file system on which DVC's cache "
        "shares blocks with what it keeps (--assume copies=1)"
    )


def _ratings(params: Params, found: Sequence[Cost]) -> str:
    judge = params.servers.judge
    asked = sum(cost.ratings for cost in found)
    if judge is None or asked <= judge.budget:
        return ""
    most = max(found, key=lambda cost: cost.ratings)
    return (
        f"the study may ask the judge {asked:,} times ({most.work.stage} {most.ratings:,} of "
        f"them), and servers.judge.budget allows {judge.budget:,}: raise it, or take fewer "
        "prompts, samples or seeds"
    )
