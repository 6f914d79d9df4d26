"""The machine and the versions that numbers may depend on."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = ("torch", "transformers", "numpy", "tokenizers", "scikit-learn")
"""What the numbers could depend on."""

LIMITS = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""Variables by which a processor is kept from instructions that it has."""


def environment() -> dict[str, str]:
    """Return the processor, its cores, the system and the versions that numbers depend on."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
    return {
        "processor": _processor(),
        **({"limited by": " ".join(limits)} if limits else {}),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def in_words(machine: Mapping[str, str]) -> str:
    """Return an environment as one line of text."""
    return f"  {', '.join(f'{name} {value}' for name, value in machine.items())}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
