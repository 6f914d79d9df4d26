"""Models of others become safetensors: weights only, no code."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support.manifest_files import put

from reproduce.config import Hardware, LoRA, PublishedBase
from reproduce.download import entries
from reproduce.models.adapter import add_adapter
from reproduce.models.load import load_model, load_tokenizer
from reproduce.models.pretrained import SMOLLM2_WHEEL, import_published, import_smollm2
from reproduce.models.tokenization import render_chat
from reproduce.utils.files import UnusableFile


@pytest.fixture
def source(tmp_path: Path, make_model: Callable[..., Any], tokenizer: Any) -> Path:
    """Return a folder with a tokenizer and a model in safetensors."""
    make_model(4).save_pretrained(tmp_path / "source")
    tokenizer.save_pretrained(tmp_path / "source")
    return tmp_path / "source"


def imported(source: Path, **settings: Any) -> Path:
    import_published(PublishedBase(model=str(source), **settings), source.parent / "model")
    return source.parent / "model"


def test_pickled_shards_become_safetensors(
    source: Path, make_model: Callable[..., Any], hardware: Hardware
) -> None:
    (source / "model.safetensors").unlink()
    state, files = make_model(4).state_dict(), dict[str, str]()
    for number, names in enumerate((list(state)[::2], list(state)[1::2]), 1):
        shard = {name: state[name] for name in names}
        torch.save(shard, source / f"pytorch_model-0000{number}-of-00002.bin")
        files |= dict.fromkeys(shard, f"pytorch_model-0000{number}-of-00002.bin")
    index = {"metadata": {}, "weight_map": files}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    model = load_model(imported(source), hardware)
    assert not list((source.parent / "model").glob("*.bin"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.cpu(), state[name]), name


class Planted:
    """What a pickle that runs code on loading looks like."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("planted",))


def test_a_pickle_that_would_run_code_is_rejected(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    (source / "model.safetensors").unlink()
    torch.save({"weight": Planted()}, source / "pytorch_model.bin")
    with pytest.raises(UnusableFile, match="weights_only"):
        imported(source)
    assert not (source.parent / "planted").exists() and not (source.parent / "model").exists()


def test_a_model_without_template_or_with_one_that_writes_the_date_is_named(source: Path) -> None:
    for path in source.glob("chat_template*"):
        path.unlink()
    path = source / "tokenizer_config.json"
    config = json.loads(path.read_text())
    for template in None, "{{ messages }} {% set now = strftime_now %}{{ now('%d') }}":
        path.write_text(json.dumps({**config, "chat_template": template}))
        with pytest.raises(UnusableFile, match=r"base\.published\.chat"):
            imported(source)
    assert "USER" in (imported(source, chat="vicuna") / "chat_template.jinja").read_text()


def test_a_model_keeps_its_precision(source: Path, make_model: Callable[..., Any]) -> None:
    make_model(4).to(torch.bfloat16).save_pretrained(source)
    weights = load_file(imported(source) / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}


def test_a_chat_template_comes_from_the_parameters(source: Path) -> None:
    template = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}"
    tokenizer = load_tokenizer(imported(source, chat=template))
    assert render_chat(tokenizer, "Hello") == f"Hello{tokenizer.eos_token}"
    with pytest.raises(ValidationError, match="chat"):
        PublishedBase(model="inputs/m", chat="llama-2")


def test_an_adapter_is_merged_into_its_own_base_alone(source: Path, hardware: Hardware) -> None:
    ids = torch.tensor([[1, 7, 9, 12]])
    adapted = add_adapter(load_model(source, hardware), LoRA(rank=2, alpha=4))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(weight, 0.1)
    adapter = source.parent / "adapter"
    adapted.save_pretrained(adapter)
    folder = imported(source, adapter={"model": str(adapter)})
    merged = load_model(folder, hardware)
    assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-5)
    assert not torch.allclose(merged(ids).logits, load_model(source, hardware)(ids).logits)

    for content in {"base_model_name_or_path": "meta/other"}, {"r": 3}:
        broken = shutil.copytree(adapter, adapter.with_name("-".join(content)))
        config = json.loads((broken / "adapter_config.json").read_text())
        (broken / "adapter_config.json").write_text(json.dumps(config | content))
    with pytest.raises(UnusableFile, match="trained on meta/other, but"):
        imported(source, adapter={"model": str(adapter.with_name("base_model_name_or_path"))})
    with pytest.raises(UnusableFile, match="no adapter of the model"):
        imported(source, adapter={"model": str(adapter.with_name("r"))})
    with pytest.raises(UnusableFile, match="no adapter_config"):
        imported(source, adapter={"model": str(source)})
    with pytest.raises(UnusableFile, match=rf"adapter of {source}.*base\.published\.adapter"):
        import_published(PublishedBase(model=str(adapter)), source.parent / "other")


def test_a_truncated_wheel_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRODUCE_MIRROR", str(tmp_path))
    put(tmp_path, entries()[SMOLLM2_WHEEL].path, b"PK")
    with pytest.raises(UnusableFile, match="2 bytes"):
        import_smollm2(tmp_path / "model")
    assert not (tmp_path / "model").exists()
