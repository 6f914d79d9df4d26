"""This machine: what numbers may depend on, and which GPU is used."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reproduce.config import Params

LIBRARIES = ("torch", "transformers", "numpy", "tokenizers", "scikit-learn")

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets that tell apart processors of one name, which round differently."""

CPU_LIMITS = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""Variables that keep a processor from instruction sets that it has."""


def environment() -> dict[str, str]:
    """Return processor, GPUs, cores, system and the versions that numbers depend on."""
    limits = [f"{name}={os.environ[name]}" for name in CPU_LIMITS if os.environ.get(name)]
    gpus = Counter(_gpus())
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


def use_one_gpu(params: "Params") -> None:
    """Let this process see one GPU, before it opens any, unless a launcher or DeepSpeed is set.

    The Trainer would spread a run over all that it sees, and the effective batch would grow.
    """
    if not (params.hardware.launch or params.hardware.deepspeed):
        first, *_ = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = first


def _gpus() -> list[str]:
    """Return name and driver of each NVIDIA GPU."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    reply = subprocess.run(command, check=False, capture_output=True, text=True)
    return reply.stdout.strip().splitlines() if reply.returncode == 0 else []


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    present = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    flags = ", ".join(flag for flag in CPU_FLAGS if flag in present)
    return (names[0] if names else platform.processor()) + (f" ({flags})" if flags else "")
