"""The scale of a study: its model, seeds, arms and prompts."""

import math
from pathlib import Path
from typing import Any

from reproduce.config import Params
from reproduce.evaluation.results import FAITHFULNESS, INSTRUCTION, Results
from reproduce.utils.files import UnusableFile


def study(params: Params, results: Results, model: Path) -> list[dict[str, Any]]:
    """Return one row: profile, parameters of the base `model`, seeds, arms, prompts a side."""
    sides = {"if_prompts": INSTRUCTION, "cd_prompts": FAITHFULNESS}
    counts = {
        name: sum(len(results.sets[each]) for each in results.datasets(measure))
        for name, measure in sides.items()
    }
    return [
        {
            "profile": params.profile,
            "parameters": parameters(model),
            "seeds": len(results.seeds),
            "arms": len(results.arms),
            **counts,
            "confidence": params.statistics.confidence,
        }
    ]


def parameters(model: Path) -> int:
    """Return the number of weights in the safetensors of a folder; tied ones count once.

    Raises UnusableFile where there is none.
    """
    from safetensors import safe_open

    files = sorted(model.glob("*.safetensors"))
    if not files:
        raise UnusableFile(f"{model}: has no safetensors; run `dvc repro base`")
    total = 0
    for file in files:
        with safe_open(file, framework="np") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    return total
