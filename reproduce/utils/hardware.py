"""This machine: what numbers may depend on, which GPU is used, and which precision."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.utils.files import short_hash

if TYPE_CHECKING:
    from reproduce.config import Params

LIBRARIES = ("torch", "transformers", "numpy", "tokenizers", "scikit-learn")

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets that tell apart processors of one name, which round differently."""

CPU_LIMITS = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""Variables that keep a processor from instruction sets that it has."""

BF16_CAPABILITIES = ("amx_bf16", "avx512_bf16", "bf16")
"""Names in torch of the instructions (x86, x86, Arm) that multiply bf16."""


def environment() -> dict[str, str]:
    """Return processor, GPUs, cores, system and the versions that numbers depend on."""
    limits = [f"{name}={os.environ[name]}" for name in CPU_LIMITS if os.environ.get(name)]
    gpus = Counter(_nvidia_smi("name,driver_version"))
    names = "; ".join(f"{count} x {name}" for name, count in sorted(gpus.items()))
    return {
        "processor": _processor(),
        **({"GPUs": names} if names else {}),
        **({"limited by": " ".join(limits)} if limits else {}),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def machine() -> str:
    """Return an identifier of this environment, 12 hexadecimal digits."""
    return short_hash(json.dumps(environment(), sort_keys=True))


def use_one_gpu(params: "Params") -> None:
    """Let this process see one GPU, before it opens any, unless a launcher or DeepSpeed is set.

    The Trainer would spread a run over all that it sees, and the effective batch would grow.
    """
    if not (params.hardware.launch or params.hardware.deepspeed):
        first, *_ = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = first


def resolve_precision(params: "Params") -> "Params":
    """Return the parameters with the precision that "auto" stands for on this machine."""
    if params.hardware.precision != "auto":
        return params
    precision = "bf16" if multiplies_bf16() else "fp32"
    hardware = params.hardware.model_copy(update={"precision": precision})
    return params.model_copy(update={"hardware": hardware})


def multiplies_bf16() -> bool:
    """Return whether the GPU, or the processor where there is none, multiplies in bf16."""
    import torch

    # Neither question opens the GPU: a process that has opened it could not fork.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if torch.cuda.is_available():
        return min(map(float, _nvidia_smi("compute_cap")), default=0.0) >= 8.0
    capabilities = torch.cpu.get_capabilities()
    limited = any(os.environ.get(name) for name in CPU_LIMITS)
    return not limited and any(capabilities.get(name, False) for name in BF16_CAPABILITIES)


def describe_precision(params: "Params") -> str:
    """Return which precision a profile gets here; "" for fp32 and for profiles for GPUs."""
    precision = params.hardware.precision
    if precision == "fp32" or params.for_gpus:
        return ""
    if multiplies_bf16():
        return "precision: bf16, which this machine multiplies natively"
    if precision == "auto":
        return "precision: fp32, because this machine does not multiply bf16 natively"
    return (
        "precision: bf16, which this machine does not multiply natively and which takes several "
        "times as long as fp32; set hardware.precision to auto"
    )


def _nvidia_smi(query: str) -> list[str]:
    """Return one line per NVIDIA GPU; none where there are none."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    reply = subprocess.run(command, check=False, capture_output=True, text=True)
    return reply.stdout.strip().splitlines() if reply.returncode == 0 else []


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    present = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    flags = ", ".join(flag for flag in CPU_FLAGS if flag in present)
    return (names[0] if names else platform.processor()) + (f" ({flags})" if flags else "")
