"""LoRA: adapters are what they should be, and merging keeps what the model computes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.training_runs import saved_weights
from torch.nn.functional import cross_entropy

from reproduce.config import ConfigError, Hardware, LoRA
from reproduce.models.adapter import add_adapter, merge_adapter
from reproduce.models.load import load_model
from reproduce.utils.files import UnusableFile

LORA = LoRA(rank=4, alpha=8)
IDS = torch.tensor([[1, 7, 9, 12, 8, 30, 5], [1, 9, 9, 7, 14, 3, 2]])


def loss_of(model: Any) -> torch.Tensor:
    logits = model(input_ids=IDS).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1), IDS[:, 1:].flatten())


def trained(model: Any, steps: int, rate: float) -> Any:
    """Train what asks for a gradient by plain gradient descent."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    return model


def test_an_adapter_alone_is_trained_and_starts_as_nothing(start: str, hardware: Hardware) -> None:
    model = load_model(Path(start), hardware)
    before = model(input_ids=IDS).logits
    adapted = add_adapter(load_model(Path(start), hardware), LORA)
    names = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert names and all("lora_" in name for name in names)
    assert {name.split(".")[-4] for name in names} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    assert torch.equal(adapted(input_ids=IDS).logits, before)


def test_full_rank_is_full_training_of_a_layer(
    start: str, hardware: Hardware, tmp_path: Path
) -> None:
    """With the identity as its first matrix, descent on the second is descent on the weight."""
    name = "model.layers.0.self_attn.o_proj.weight"
    full = load_model(Path(start), hardware)
    for key, weight in full.named_parameters():
        weight.requires_grad = key == name
    width = full.config.hidden_size
    settings = LoRA(rank=width, alpha=width, target_modules=["layers.0.self_attn.o_proj"])
    adapted = add_adapter(load_model(Path(start), hardware), settings)
    for key, weight in adapted.named_parameters():
        if "lora_A" in key:
            weight.data = torch.eye(width)
            weight.requires_grad = False
    trained(full, 20, 0.5)
    trained(adapted, 20, 0.5).save_pretrained(tmp_path / "adapter")
    merge_adapter(Path(start), tmp_path / "adapter", hardware, tmp_path / "merged")
    expected, merged = dict(full.named_parameters()), saved_weights(tmp_path / "merged")
    before = saved_weights(Path(start))
    assert float((expected[name] - before[name]).abs().max()) > 0.01
    assert float((expected[name] - merged[name]).abs().max()) < 1e-6
    assert all(merged[key].equal(before[key]) for key in before if key != name)


def test_a_merged_model_computes_what_the_adapter_does(
    start: str, hardware: Hardware, tmp_path: Path
) -> None:
    adapted = trained(add_adapter(load_model(Path(start), hardware), LORA), 10, 0.5).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    merge_adapter(Path(start), tmp_path / "adapter", hardware, tmp_path / "merged")
    merged = load_model(tmp_path / "merged", hardware).eval()
    start_model = load_model(Path(start), hardware).eval()
    with torch.no_grad():
        theirs, ours, first = (m(input_ids=IDS).logits for m in (adapted, merged, start_model))
    assert float((theirs - ours).abs().max()) < 1e-5
    assert float((theirs - first).abs().max()) > 0.1


@pytest.mark.parametrize("modules", [["c_attn"], ["lm_head", "nothing"][1:]])
def test_modules_that_match_nothing_are_named(
    start: str, hardware: Hardware, modules: list[str]
) -> None:
    lora = LORA.model_copy(update={"target_modules": modules})
    with pytest.raises(ConfigError, match=rf"training\.lora\.target_modules.*{modules[0]}"):
        add_adapter(load_model(Path(start), hardware), lora)


def test_an_adapter_of_another_shape_or_a_broken_one_is_named(
    start: str, hardware: Hardware, tmp_path: Path
) -> None:
    add_adapter(load_model(Path(start), hardware), LORA).save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "r": 3}))
    with pytest.raises(UnusableFile, match="adapter"):
        merge_adapter(Path(start), tmp_path / "adapter", hardware, tmp_path / "merged")
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(UnusableFile, match="adapter"):
        merge_adapter(Path(start), tmp_path / "adapter", hardware, tmp_path / "merged")
