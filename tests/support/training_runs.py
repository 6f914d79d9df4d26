"""What tests of training share: a plain loss, and weights to compare."""

import math
from pathlib import Path
from typing import Any

import torch

from reproduce.models.tokenization import IGNORED, TokenRow


def plain_loss(model: Any, rows: list[TokenRow]) -> float:
    """Return the mean cross entropy over all response tokens, one token at a time."""
    losses = []
    with torch.no_grad():
        for row in rows:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].double()
            for position in range(1, len(row["input_ids"])):
                if row["labels"][position] != IGNORED:
                    probabilities = torch.softmax(logits[position - 1], dim=0)
                    losses.append(-math.log(probabilities[row["input_ids"][position]]))
    return sum(losses) / len(losses)


def weights(model: Any) -> dict[str, torch.Tensor]:
    """Return a copy of a model's weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights that are saved in a folder."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest difference between two sets of weights of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)
