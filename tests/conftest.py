"""A tiny synthetic task, its tokenizer, models of a few thousand parameters, and the nano study."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import nano_study as nano

from reproduce.config import Hardware, TinyModel, Training
from reproduce.data.synthetic import evaluation_sets, training_sets
from reproduce.schema import Sets
from reproduce.study import Study, load_study
from reproduce.world.corpus import pretraining_texts
from reproduce.world.people import World, make_world

os.environ.setdefault("DS_ACCELERATOR", "cpu")
SHAPE = TinyModel(hidden_size=16, intermediate_size=24, layers=1, heads=2, max_positions=256)


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(8, 0)


@pytest.fixture(scope="session")
def held_out(world: World) -> Sets:
    return evaluation_sets(world, 30, 0)


@pytest.fixture(scope="session")
def training(world: World, held_out: Sets) -> Sets:
    return training_sets(world, 60, 0, held_out)


@pytest.fixture(scope="session")
def texts(world: World, training: Sets, held_out: Sets) -> list[str]:
    """Return every text of the task, all kinds."""
    examples = [e for sets in (training, held_out) for members in sets.values() for e in members]
    prompts = [text for e in examples for text in (e.prompt, e.response)]
    return pretraining_texts(world, 300, 0) + prompts


@pytest.fixture(scope="session")
def tokenizer(texts: list[str]) -> Any:
    # Heavy libraries are imported only by the tests that need them.
    from reproduce.world.tokenizer import build_tokenizer

    return build_tokenizer(texts)


@pytest.fixture
def make_model(tokenizer: Any) -> Callable[..., Any]:
    """Return a maker of tiny models; the same seed gives the same weights."""
    import torch

    from reproduce.models.load import new_llama

    def make(seed: int = 0) -> Any:
        torch.manual_seed(seed)
        return new_llama(SHAPE, tokenizer)

    return make


@pytest.fixture
def sharp_model(make_model: Callable[..., Any]) -> Any:
    """Return a model with weights so large that its answers differ from prompt to prompt."""
    import torch

    model = make_model(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.mul_(12)
    return model.eval()


@pytest.fixture(scope="session")
def hardware() -> Hardware:
    return Hardware(threads=1)


@pytest.fixture(scope="session")
def settings() -> Training:
    return Training(
        epochs=1, batch_size=8, micro_batch_size=8, learning_rate=1e-3, weight_decay=0.0,
        schedule="constant_with_warmup", warmup=0, max_length=128,
    )  # fmt: skip


@pytest.fixture
def rows(tokenizer: Any, training: Sets) -> list[Any]:
    """Return token rows of three data sets, whose prompts and responses differ in length."""
    from reproduce.models.tokenization import encode_example

    examples = [e for name in ("qa-single", "lists", "stories") for e in training[name][:16]]
    encoded = [encode_example(tokenizer, example, 128) for example in examples]
    return [row for row in encoded if row]


@pytest.fixture
def start(make_model: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> str:
    """Return the folder of a saved model and its tokenizer, to train from."""
    folder = tmp_path / "start"
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(0)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a synthetic study with results of all kinds of arms and tables; do not write to it."""
    from support.synthetic_study import synthetic_study, write_study

    from reproduce.evaluation.tables.make import make_tables

    made = write_study(synthetic_study(tmp_path_factory.mktemp("synthetic")))
    make_tables(made)
    return made


@pytest.fixture(scope="session")
def shared_nano_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the nano study; do not write to it."""
    base = tmp_path_factory.getbasetemp()
    return nano.shared(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture
def nano_study(shared_nano_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Return a copy of the finished nano study, which is also the working directory."""
    folder = tmp_path / "study"
    shutil.copytree(shared_nano_study, folder)
    monkeypatch.chdir(folder)
    return load_study()
