"""The precision in which this machine multiplies fastest, where a profile leaves it open."""

from typing import Literal

from reproduce.config import Params
from reproduce.environment import compute_capabilities

PRODUCTS = ("amx_bf16", "avx512_bf16", "bf16")
"""What torch calls the instructions of processors (x86, x86, Arm) that multiply bf16."""

AMPERE = 8.0
"""Compute capability from which NVIDIA's GPUs multiply bf16."""


def resolved(params: Params) -> Params:
    """Return the parameters with the precision that "auto" stands for on this machine."""
    if params.hardware.precision != "auto":
        return params
    found: Literal["bf16", "fp32"] = "bf16" if multiplies_bf16() else "fp32"
    hardware = params.hardware.model_copy(update={"precision": found})
    return params.model_copy(update={"hardware": hardware})


def multiplies_bf16() -> bool:
    """Return whether the GPUs, or the processor where there are none, have products in bf16.

    No GPU is opened by the question: a process that did could not fork.
    """
    import torch

    if torch.cuda.is_available():
        found = compute_capabilities()
        return bool(found) and min(found) >= AMPERE
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in PRODUCTS)


def in_words(params: Params) -> str:
    """Return what a profile is computed in here, as a line of text; "" if it asks for fp32."""
    asked, taken = params.hardware.precision, resolved(params).hardware.precision
    if asked == "fp32":
        return ""
    if taken == "bf16" and not multiplies_bf16():
        return (
            "computed in bf16, which this machine has no products in and is several times as slow "
            "with as in fp32: set hardware.precision to auto"
        )
    has = "multiplies bf16" if taken == "bf16" else "has no products in bf16"
    return f"computed in {taken}: this machine {has}"
