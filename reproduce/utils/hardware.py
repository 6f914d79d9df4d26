"""What computes a profile on this machine: one GPU or the processor, and in which precision.

Profiles with a launcher or DeepSpeed say themselves what computes them.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from reproduce.config import Params
from reproduce.utils.environment import LIMITS

PRODUCTS = ("amx_bf16", "avx512_bf16", "bf16")
"""What torch calls the instructions of processors (x86, x86, Arm) that multiply bf16."""


def keep_to_one_gpu(params: Params) -> None:
    """Let this process see one GPU, before it opens any.

    The Trainer would spread a run over all that it sees, and with each the effective batch grows.
    """
    if not (params.hardware.launch or params.hardware.deepspeed):
        first, *_ = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = first


def resolved(params: Params) -> Params:
    """Return the parameters with the precision that "auto" stands for on this machine."""
    if params.hardware.precision != "auto":
        return params
    return params.in_precision("bf16" if multiplies_bf16() else "fp32")


def multiplies_bf16() -> bool:
    """Return whether the GPU, or the processor where there is none, has products in bf16.

    A processor that is kept from instructions that it has counts as one without. The GPU is asked
    by another process: one that has opened it could not fork.
    """
    import torch

    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if torch.cuda.is_available():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as other:
            return other.submit(torch.cuda.is_bf16_supported, False).result()
    known = torch.cpu.get_capabilities()
    limited = any(os.environ.get(name) for name in LIMITS)
    return not limited and any(known.get(name, False) for name in PRODUCTS)


def in_words(params: Params) -> str:
    """Return which precision a profile gets here, as a line of text; "" where it asks for fp32.

    Nothing is said of a profile for GPUs, which may be checked where there is none.
    """
    asked = params.hardware.precision
    if asked == "fp32" or params.for_gpus:
        return ""
    there = multiplies_bf16()
    if asked == "bf16" and not there:
        return (
            "computed in bf16, which this machine has no products in: it takes several times as "
            "long as in fp32; set hardware.precision to auto"
        )
    if there:
        return "computed in bf16: this machine multiplies it"
    return (
        "computed in fp32: this machine has no products in bf16; where the time to expect was "
        "taken in bf16, it takes longer than that"
    )
