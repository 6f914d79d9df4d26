"""LoRA: adapters on a frozen model (Hu et al., 2022), also on a base in four bits (QLoRA)."""

from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.config import ConfigError, Hardware, LoRA
from reproduce.models.load import load_model
from reproduce.utils.files import UnusableFile

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER = "adapter"
"""Folder of an arm's adapter, next to its merged model."""


def add_adapter(model: "PreTrainedModel", lora: LoRA) -> "PreTrainedModel":
    """Return the model with a new adapter, of which alone the weights are trained.

    Raises ConfigError if no module has one of the target names.
    """
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if lora.quantised_base:
        # Layer norms in fp32; activations are recomputed by the Trainer's own setting.
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, task_type="CAUSAL_LM",
        target_modules=lora.target_modules,
    )  # fmt: skip
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(f"training.lora.target_modules: {lora.target_modules}: {error}") from None


def merge_adapter(start: Path, adapter: Path, hardware: Hardware, target: Path) -> None:
    """Write to `target` the model in `start` with an adapter merged into its weights.

    The adapter was trained on this model, or on a copy of it in four bits. Weights are added in
    fp32 on the CPU, and kept in bf16 where that is the profile's precision.
    """
    import torch

    merged = merge(load_model(start, hardware, place=False), adapter)
    if hardware.precision == "bf16":
        merged = merged.to(torch.bfloat16)
    merged.save_pretrained(target)


def merge(
    model: "PreTrainedModel", adapter: str | Path, revision: str | None = None
) -> "PreTrainedModel":
    """Return the model with an adapter, of a folder or of the Hub, added to its weights.

    Raises UnusableFile if the adapter does not fit the model.
    """
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter, revision=revision).merge_and_unload()
    except Exception as error:  # Of files that are missing, broken or of other shapes.
        raise UnusableFile(f"{adapter}: is no adapter of the model: {error}") from error
