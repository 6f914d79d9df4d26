"""Models and tokenizers: made, found, loaded (safetensors only, no remote code)."""

import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.config import Hardware, TinyModel
from reproduce.utils.files import UnusableFile

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def new_llama(shape: TinyModel, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    """Return a LLaMA of the given shape with random weights; set the seed first."""
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


def load_model(
    folder: Path,
    hardware: Hardware,
    half: bool = False,
    four_bits: bool = False,
    place: bool = True,
) -> "PreTrainedModel":
    """Return the causal language model in `folder`, on the GPU where there is one.

    Its weights are in fp32, as training needs them. Weights that are not trained may be in `half`
    the bits where the profile's precision is bf16, or in `four_bits`. DeepSpeed places a model
    itself.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    ) if four_bits else None  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if half and hardware.precision == "bf16" else torch.float32,
        quantization_config=quantisation,
        use_safetensors=True,
        trust_remote_code=False,
    )
    if four_bits or not place:
        return model
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer in `folder`, with its chat template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def find_checkpoint(folder: Path, seed: int) -> Path:
    """Return the folder of a seed's model: `seed-N`, or `all-seeds` of an imported base model.

    Raises UnusableFile where there is neither.
    """
    for checkpoint in (folder / f"seed-{seed}", folder / "all-seeds"):
        if (checkpoint / "config.json").is_file():
            return checkpoint
    raise UnusableFile(f"{folder}: has no model of seed {seed}; run `dvc repro`")


def count_parameters(folder: Path) -> int:
    """Return the number of weights in the safetensors of a folder; tied ones count once.

    Raises UnusableFile where there are none.
    """
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UnusableFile(f"{folder}: has no *.safetensors; run `dvc repro`")
    total = 0
    for file in files:
        with safe_open(file, framework="np") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    return total


def interpolate(start: Path, other: Path, weight: float, target: Path) -> None:
    """Write a model with weights (1 - weight) * start + weight * other, and start's tokenizer."""
    from safetensors.torch import load_file, save_file

    theirs = _tensors(other)
    shutil.copytree(start, target, ignore=shutil.ignore_patterns("train.jsonl"), dirs_exist_ok=True)
    for path in sorted(start.glob("*.safetensors")):
        mixed = {name: ours.lerp(theirs[name](), weight) for name, ours in load_file(path).items()}
        save_file(mixed, target / path.name, metadata={"format": "pt"})


def weight_distance(folder: Path, start: Path) -> float:
    """Return |weights - start's weights| / |start's weights|, in the Euclidean norm."""
    after, before = _tensors(folder), _tensors(start)
    moved = total = 0.0
    for name in sorted(after.keys() & before.keys()):  # A tied weight may have one name or two.
        old = before[name]().float()
        moved += float((after[name]().float() - old).square().sum())
        total += float(old.square().sum())
    return math.sqrt(moved / total)


def _tensors(folder: Path) -> "dict[str, Callable[[], torch.Tensor]]":
    """Return name -> how to read it, for the weights in all shards of a folder."""
    from safetensors import safe_open

    tensors: dict[str, Callable[[], torch.Tensor]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        shard = safe_open(path, framework="pt")
        for name in shard.keys():  # type: ignore[no-untyped-call]
            tensors[name] = partial(shard.get_tensor, name)
    return tensors
