"""How fast a training run was, for `analysis/steps.py`; decides no result."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOG = Path("logs") / "training.jsonl"
"""A row a run, below the working directory; kept by no tool, as a machine's own."""

Row = dict[str, Any]


def note_speed(stage: str, run: str, tokens: float, seconds: float, parameters: int) -> None:
    """Add a run to the log: what it trained on, for how long, on what, with how much memory.

    Args:
        stage: the stage that the run is of.
        run: its name.
        tokens: that are no padding, every epoch's, of all devices together.
        seconds: of training alone.
        parameters: of the whole model.
    """
    row: Row = {
        "stage": stage, "run": run, "tokens": round(tokens), "seconds": round(seconds, 3),
        "parameters": parameters, "at": int(time.time()), **_device(),
    }  # fmt: skip
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a", encoding="utf-8") as stream:  # One short write: seeds run side by side.
        stream.write(json.dumps(row) + "\n")


def model_flops_utilisation(runs: Sequence[Row], peak: float) -> float:
    """Return the mean share of a device's `peak` (operations a second) that runs made use of.

    Six operations a parameter and token, forward and backward; attention's own products and what
    checkpointing computes again do not count (Chowdhery et al., 2022, appendix B).
    """
    shares = [
        6 * run["parameters"] * run["tokens"] / run["seconds"] / run["devices"] / peak
        for run in runs
    ]
    return sum(shares) / len(shares)


def _device() -> Row:
    """Return what the run computes on, and the most memory that it held there, in MB."""
    import torch

    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if not torch.cuda.is_available():
        return {"device": "cpu", "devices": world}
    memory = round(torch.cuda.max_memory_allocated() / 1e6)
    return {"device": torch.cuda.get_device_name(), "devices": world, "device_memory_mb": memory}
