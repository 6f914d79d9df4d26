"""Models and tokenizers: made, imported, loaded, saved (safetensors only, no remote code)."""

from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.config import Hardware, TinyModel
from reproduce.utils.files import UnusableFile, checked

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def new_llama(shape: TinyModel, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    """Return a freshly initialised LLaMA of the given shape; seed first."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=shape.max_positions,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def load_model(folder: Path, hardware: Hardware, generates: bool = False) -> "PreTrainedModel":
    """Return the causal language model in `folder`.

    In fp32 for training, which DeepSpeed then places itself; in the profile's precision, on the
    GPU where there is one, if it `generates`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    half = generates and hardware.precision == "bf16"
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if half else torch.float32,
        attn_implementation=hardware.attention,
        use_safetensors=True,
        trust_remote_code=False,
    )
    if hardware.deepspeed and not generates:
        return model
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer in `folder`, with its chat template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def checkpoint(start: Path, seed: int) -> Path:
    """Return the folder of the model that an arm of this seed starts from, checked to be whole.

    `start` has one model a seed, or is an imported base model: one for all. Raises UnusableFile
    where there is neither.
    """
    checked(start)
    for folder in (start / f"seed-{seed}", start):
        if (folder / "model").is_dir():
            return folder / "model"
    raise UnusableFile(f"{start}: has no model of seed {seed}; run `dvc repro` to make it")
