"""A tiny world, its tokenizer, and LLaMAs of a few thousand parameters, shared by the tests."""

import json
import logging
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from classifiers import write_classifier
from evidence import Note

from reproduce.config import Hardware, TinyModel, Training
from reproduce.judges.faithfulness import LABELS
from reproduce.schema import Example
from reproduce.world.build import evaluation_sets, training_sets
from reproduce.world.corpus import pretraining_texts
from reproduce.world.people import World, make_world

os.environ.setdefault("REPRODUCE_COLD", "1")
ENCODER_WORDS = "the a river bridge lake is was not built in by of long short red blue".split()
SHAPE = TinyModel(hidden_size=16, intermediate_size=24, layers=1, heads=2, max_positions=256)

Sets = dict[str, list[Example]]


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
    """Return every text of the world, all kinds."""
    examples = [e for sets in (training, held_out) for found in sets.values() for e in found]
    prompts = [text for e in examples for text in (e.prompt, e.response)]
    return pretraining_texts(world, 300, 0) + prompts


@pytest.fixture(scope="session")
def tokenizer(texts: list[str]) -> Any:
    # Heavy libraries are imported by the tests that need them only.
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
    return Hardware(workers=1, threads=1, threads_alone=1)


@pytest.fixture(scope="session")
def settings() -> Training:
    return Training(
        epochs=1,
        batch_size=8,
        micro_batch_size=8,
        learning_rate=1e-3,
        schedule="constant_with_warmup",
        warmup=0,
        weight_decay=0.0,
        max_length=128,
    )


@pytest.fixture
def rng() -> random.Random:
    return random.Random(0)


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Return what puts a row into the report of a run, for `tests/evidence.py`."""
    return lambda heading, row: record_property(heading, json.dumps(row))


@pytest.fixture
def encoder(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of tiny BERT classifiers in folders of their own."""

    def make(name: str = "model", labels: tuple[str, ...] = LABELS, **more: Any) -> Path:
        write_classifier(tmp_path / name, ENCODER_WORDS, labels, **more)
        return tmp_path / name

    return make


@pytest.fixture
def finished(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return the folder of a finished study: artifacts/ and paper/, and what to expect of it."""
    import synthetic

    from reproduce.utils.files import write_json
    from reproduce.verify import expectations

    made = synthetic.shared_study(tmp_path_factory.getbasetemp())
    shutil.copytree(made / "artifacts", tmp_path / "artifacts")
    shutil.copytree(made / "tables", tmp_path / "paper" / "tables")
    (tmp_path / "paper" / "figures").mkdir()
    (tmp_path / "paper" / "figures" / "one.png").write_bytes(b"one")
    known = expectations(tmp_path / "paper", tmp_path / "artifacts", ["methods/MTL"])
    write_json(tmp_path / "paper" / "expected.json", known)
    shutil.copy(synthetic.ROOT / "experiments.yaml", tmp_path)
    shutil.copy(synthetic.ROOT / "paper" / "claims.yaml", tmp_path / "paper")
    parameters = (synthetic.ROOT / "params.yaml").read_text(encoding="utf-8")
    package = f"package: {synthetic.ROOT / 'reproduce'}"
    (tmp_path / "params.yaml").write_text(parameters.replace("package: reproduce", package))
    return tmp_path


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty MLflow database: making the tables takes seconds, copying them does not."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()
