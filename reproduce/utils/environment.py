"""The machine and the versions that numbers may depend on."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from reproduce.utils.files import text_id

LIBRARIES = ("torch", "transformers", "numpy", "tokenizers", "scikit-learn")
"""What the numbers could depend on."""

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instructions that tell apart processors which go by one name, and round otherwise."""

LIMITS = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""Variables by which a processor is kept from instructions that it has."""


def environment() -> dict[str, str]:
    """Return processor, GPUs, cores, system and the versions that numbers depend on."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
    gpus = _gpus()
    return {
        "processor": _processor(),
        **({"GPUs": gpus} if gpus else {}),
        **({"limited by": " ".join(limits)} if limits else {}),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def machine() -> str:
    """Return a name of this environment, the same wherever it is the same."""
    return text_id(in_words(environment()))


def in_words(machine: Mapping[str, str]) -> str:
    """Return an environment as one line of text."""
    return f"  {', '.join(f'{name} {value}' for name, value in machine.items())}"


def _gpus() -> str:
    """Return the names and the driver of NVIDIA's GPUs; "" where there are none."""
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    found = Counter(asked.stdout.strip().splitlines()) if asked.returncode == 0 else Counter()
    return "; ".join(f"{count} x {name}" for name, count in sorted(found.items()))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    has = ", ".join(name for name in INSTRUCTIONS if name in flags)
    return (names[0] if names else platform.processor()) + (f" ({has})" if has else "")
