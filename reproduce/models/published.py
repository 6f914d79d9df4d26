"""A causal language model of a hub, or of a local folder, kept as safetensors."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reproduce.config import PublishedBase, Shape
from reproduce.models.chat import TEMPLATES
from reproduce.snapshot import snapshot
from reproduce.utils.files import UnusableFile, sealed_folder, write_json

SAFE, PICKLED = "*.safetensors", "pytorch_model*.bin"
REST = ("*.json", "tokenizer.model", "*.jinja")


def import_published(settings: PublishedBase, target: Path) -> None:
    """Write a published model to `target`: weights as safetensors, tokenizer, chat template.

    Weights keep the precision in which they were published. Pickled shards are read as weights
    only, one at a time, where there are no safetensors. No code of the repository runs. Raises
    UnusableFile where the model cannot be had, has no weights, or is not of the stated shape.
    """
    source = _downloaded(settings)
    if settings.shape:
        _refuse_other_shape(settings.model, source, settings.shape)
    with sealed_folder(target) as folder:
        _copy(source.glob("*.json"), folder)
        if list(source.glob(SAFE)):
            _copy(source.glob(SAFE), folder)
        else:
            _convert(source, folder)
        _tokenizer(source, settings).save_pretrained(folder)


def _downloaded(settings: PublishedBase) -> Path:
    safe = snapshot(settings.model, settings.revision, (SAFE, *REST))
    if list(safe.glob(SAFE)):
        return safe
    pickled = snapshot(settings.model, settings.revision, (PICKLED, *REST))
    if list(pickled.glob(PICKLED)):
        return pickled
    raise UnusableFile(f"{settings.model} has no weights: neither {SAFE} nor {PICKLED}")


def _refuse_other_shape(name: str, folder: Path, expected: Shape) -> None:
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    shape = Shape(
        hidden_size=found.hidden_size,
        intermediate_size=found.intermediate_size,
        layers=found.num_hidden_layers,
        heads=found.num_attention_heads,
        max_positions=found.max_position_embeddings,
        vocabulary=found.vocab_size,
    )
    if shape != expected:
        raise UnusableFile(
            f"{name} is of the shape {shape.model_dump()}, but base.published.shape says "
            f"{expected.model_dump()}; correct it, or name another model"
        )


def _copy(files: Iterable[Path], folder: Path) -> None:
    # By content: what a hub's cache holds are links.
    for path in files:
        if not path.name.startswith("pytorch_model"):
            shutil.copyfile(path, folder / path.name)


def _convert(source: Path, folder: Path) -> None:
    """Write pickled shards as safetensors of the same split, and the index of who holds what."""
    import torch
    from safetensors.torch import save_file

    shards = sorted(source.glob(PICKLED))
    held: dict[str, str] = {}
    size = 0
    for number, shard in enumerate(shards, 1):
        state: dict[str, Any] = torch.load(shard, map_location="cpu", weights_only=True, mmap=True)
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        # Weights that share memory are written out each: safetensors holds no two names for one.
        tensors = {key: tensor.clone().contiguous() for key, tensor in state.items()}
        save_file(tensors, folder / name, metadata={"format": "pt"})
        held |= dict.fromkeys(tensors, name)
        size += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": held}
    write_json(folder / "model.safetensors.index.json", index)


def _tokenizer(source: Path, settings: PublishedBase) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if settings.chat:
        tokenizer.chat_template = TEMPLATES[settings.chat]
    if not tokenizer.chat_template:
        raise UnusableFile(
            f"{settings.model} has no chat template; choose one (base.published.chat): "
            f"{', '.join(TEMPLATES)}"
        )
    if tokenizer.pad_token is None:
        # As LLaMA has none; padding is masked out, so which token stands there changes nothing.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer
