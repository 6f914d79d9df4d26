"""Judges that stand in the repository: the tuned last layers of MiniLM, in half precision."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce.utils.files import UnusableFile, atomic_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = Path(__file__).with_name("weights")
"""Tuned tensors, one file per judge; they go on top of the encoder that `import_minilm` writes."""


def load_encoder(auto_class: Any, folder: Path, tuned_layers: int) -> "PreTrainedModel":
    """Return the encoder in `folder` with a new head of `auto_class`, for tuning.

    Only the last `tuned_layers` and the head are trained.
    """
    model: PreTrainedModel = _load(auto_class, folder)
    encoder = model.base_model
    encoder.requires_grad_(False)
    encoder.encoder.layer[-tuned_layers:].requires_grad_(True)
    return model


def save_tuned(model: "PreTrainedModel", target: Path) -> None:
    """Write the tensors that were trained to `target`, as fp16."""
    import torch
    from safetensors.torch import save_file

    tensors = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.named_parameters()
        if tensor.requires_grad
    }
    with atomic_path(target) as draft:
        save_file(tensors, draft, metadata={"format": "pt"})


def load_tuned(auto_class: Any, folder: Path, tuned: Path) -> "PreTrainedModel":
    """Return the encoder in `folder` with the tensors of `tuned` in place of its own, in fp32.

    Raises UnusableFile for a file that is missing, broken or of another encoder.
    """
    import torch
    from safetensors.torch import load_file

    model = _load(auto_class, folder)
    try:
        tensors = {name: tensor.to(torch.float32) for name, tensor in load_file(tuned).items()}
        head = {name for name, _ in model.named_parameters()} - {
            f"{model.base_model_prefix}.{name}" for name, _ in model.base_model.named_parameters()
        }
        if missing := sorted(head - tensors.keys()):
            raise ValueError(f"it lacks {missing[0]}")
        if unknown := sorted(tensors.keys() - model.state_dict().keys()):
            raise ValueError(f"the encoder in {folder} has no {unknown[0]}")
        model.load_state_dict(tensors, strict=False)
    except Exception as error:  # safetensors, torch and the file system have their own.
        raise UnusableFile(f"{tuned}: no tuned tensors of a judge: {error}") from error
    return model.eval()


def _load(auto_class: Any, folder: Path) -> Any:
    import torch

    return auto_class.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
