"""Models and tokenizers: made, imported, loaded, saved (safetensors only, no remote code)."""

from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.config import Hardware, TinyModel
from reproduce.files import checked

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


def load_model(folder: Path) -> "PreTrainedModel":
    """Return the causal language model in `folder`, in fp32, on the GPU where there is one."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def for_generation(model: "PreTrainedModel", hardware: Hardware) -> "PreTrainedModel":
    """Return `model`, cast in place to the precision of generation: no more training after it."""
    import torch

    return model.to(torch.bfloat16 if hardware.precision == "bf16" else torch.float32)


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer in `folder`, with its chat template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def checkpoint(start: Path, seed: int) -> Path:
    """Return the folder of the model that an arm of this seed starts from, checked to be whole.

    `start` is the base model (one for all seeds) or an arm with one model a seed.
    """
    checked(start)
    of_seed = start / f"seed-{seed}" / "model"
    return of_seed if of_seed.is_dir() else start / "model"
