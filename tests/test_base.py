"""Base models: one a seed where they are pretrained, each apart from the others."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from reproduce.base import make_base
from reproduce.config import Params, load_params
from reproduce.data.prepare import make_data
from reproduce.models.load import checkpoint, load_tokenizer
from reproduce.utils.files import UnusableFile, checked, sealed_folder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def params() -> Params:
    """Return the nano world with few texts and two seeds side by side."""
    told = load_params(ROOT / "tests" / "nano" / "params.yaml").model_dump()
    told["seeds"], told["data"]["world"]["pretraining_texts"] = [0, 1], 200
    told["hardware"]["workers"] = 2
    return Params.model_validate(told)


@pytest.fixture(scope="module")
def artifacts(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_data(params.data, params.validation, folder)
    made(params, folder, "base")
    return folder


def made(params: Params, artifacts: Path, name: str) -> Path:
    make_base(params, artifacts / "training", artifacts / "pretraining", artifacts / name)
    return checked(artifacts / name)


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def test_each_seed_starts_from_its_own_model(artifacts: Path) -> None:
    base = artifacts / "base"
    models = [checkpoint(base, seed) for seed in (0, 1)]
    assert models == [base / "seed-0" / "model", base / "seed-1" / "model"]
    first, second = (load_file(model / "model.safetensors") for model in models)
    assert {name for name in first if not first[name].equal(second[name])} == set(first)
    one, other = (load_tokenizer(model).get_vocab() for model in models)
    assert one == other


def test_a_seed_has_the_same_model_whatever_other_seeds_there_are(
    params: Params, artifacts: Path
) -> None:
    alone = params.model_copy(update={"seeds": [1]})
    model = checkpoint(made(alone, artifacts, "alone"), 1)
    assert weights(model) == weights(checkpoint(artifacts / "base", 1))


def test_a_seed_without_a_model_is_refused_by_name(artifacts: Path) -> None:
    with pytest.raises(UnusableFile, match="base: has no model of seed 5; run `dvc repro`"):
        checkpoint(artifacts / "base", 5)


def test_an_imported_model_serves_every_seed(tmp_path: Path) -> None:
    with sealed_folder(tmp_path / "base") as draft:
        (draft / "model").mkdir()
        (draft / "model" / "config.json").touch()
    assert {checkpoint(tmp_path / "base", seed) for seed in (0, 1, 7)} == {tmp_path / "base/model"}
