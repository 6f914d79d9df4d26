"""Models of others become safetensors: weights only, no code, of the stated shape."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.manifest_files import put
from support.profiles import ROOT
from transformers import LlamaConfig, LlamaForCausalLM

from reproduce.config import Hardware, PublishedBase, Shape
from reproduce.download import entries
from reproduce.models.load import load_model
from reproduce.models.pretrained import SMOLLM2_WHEEL, import_published, import_smollm2
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
    state = make_model(4).state_dict()
    for number, names in enumerate((list(state)[::2], list(state)[1::2]), 1):
        shard = {name: state[name] for name in names}
        torch.save(shard, source / f"pytorch_model-0000{number}-of-00002.bin")
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
    with pytest.raises(pickle.UnpicklingError):
        imported(source)
    assert not (source.parent / "planted").exists() and not (source.parent / "model").exists()


def test_a_model_without_template_or_weights_or_of_another_shape_is_named(source: Path) -> None:
    for path in source.glob("chat_template*"):
        path.unlink()
    path = source / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": None}))
    with pytest.raises(UnusableFile, match=r"base\.published\.chat"):
        imported(source)
    assert "USER" in (imported(source, chat="vicuna") / "chat_template.jinja").read_text()
    sizes = {"hidden_size": 16, "intermediate_size": 24, "layers": 2, "heads": 2}
    shape = Shape(**sizes, max_positions=256, vocabulary=9)
    with pytest.raises(UnusableFile, match=r"base\.published\.shape"):
        imported(source, chat="vicuna", shape=shape)
    shutil.rmtree(source.parent / "model")
    (source / "model.safetensors").unlink()
    with pytest.raises(UnusableFile, match="safetensors"):
        imported(source)


def test_a_truncated_wheel_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRODUCE_MIRROR", str(tmp_path))
    put(tmp_path, entries()[SMOLLM2_WHEEL].path, b"PK")
    with pytest.raises(UnusableFile, match="2 bytes"):
        import_smollm2(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("profile", ["llama-7b", "vicuna-7b"])
def test_the_shape_of_llama_7b_has_its_number_of_parameters(profile: str) -> None:
    text = (ROOT / "profiles" / profile / "params.yaml").read_text(encoding="utf-8")
    shape = Shape(**yaml.safe_load(text)["base"]["published"]["shape"])
    config = LlamaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, max_position_embeddings=shape.max_positions,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    assert sum(weight.numel() for weight in model.parameters()) == 6_738_415_616
