"""Models on disk: found by seed, counted, loaded in the precision of the profile."""

from pathlib import Path
from typing import Any

import pytest
import torch

from reproduce.config import Hardware
from reproduce.models.load import (
    count_parameters,
    find_checkpoint,
    interpolate,
    load_model,
    weight_distance,
)
from reproduce.utils.files import UnusableFile


def test_each_seed_has_its_own_model_or_all_share_one(tmp_path: Path) -> None:
    for name in ("own/seed-0", "own/seed-1", "imported/all-seeds"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").touch()
    assert [find_checkpoint(tmp_path / "own", seed).name for seed in (0, 1)] == ["seed-0", "seed-1"]
    assert {find_checkpoint(tmp_path / "imported", seed).name for seed in (0, 5)} == {"all-seeds"}
    with pytest.raises(UnusableFile, match="own.*seed 5"):
        find_checkpoint(tmp_path / "own", 5)


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_all_files_of_a_model_are_counted_and_loaded(
    make_model: Any, hardware: Hardware, tmp_path: Path, shard: str
) -> None:
    model = make_model()
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (shard == "20KB")
    # `parameters` gives the tied embedding once.
    assert count_parameters(tmp_path) == sum(value.numel() for value in model.parameters())
    loaded = load_model(tmp_path, hardware).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=tmp_path.name):
        count_parameters(tmp_path)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_a_model_generates_in_the_precision_of_the_profile(
    make_model: Any, hardware: Hardware, tmp_path: Path, precision: str, dtype: torch.dtype
) -> None:
    make_model().save_pretrained(tmp_path)
    chosen = hardware.model_copy(update={"precision": precision})
    assert load_model(tmp_path, chosen).dtype == torch.float32
    model = load_model(tmp_path, chosen, half=True)
    assert model.dtype == dtype
    # Rounded to bf16, the frequencies would put words where training has not put them.
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_interpolated_weights_are_means_and_distances_are_those_of_all_weights(
    make_model: Any, hardware: Hardware, tmp_path: Path, shard: str
) -> None:
    folders = [tmp_path / name for name in ("start", "other", "between")]
    models = [make_model(seed) for seed in (0, 1)]
    for model, folder in zip(models, folders, strict=False):
        model.save_pretrained(folder, max_shard_size=shard)
    (folders[0] / "train.jsonl").touch()
    interpolate(*folders[:2], 0.25, folders[2])
    assert {path.name for path in folders[2].iterdir()} == {
        path.name for path in folders[0].iterdir()
    } - {"train.jsonl"}
    start, other, between = (load_model(folder, hardware).state_dict() for folder in folders)
    for name, weight in between.items():
        assert torch.allclose(weight, 0.75 * start[name] + 0.25 * other[name], atol=1e-7), name
    one, two = (torch.cat([p.flatten() for p in model.parameters()]) for model in models)
    distance = float(((two - one).norm() / one.norm()).detach())
    assert weight_distance(folders[1], folders[0]) == pytest.approx(distance, rel=1e-5)
    assert weight_distance(folders[2], folders[0]) == pytest.approx(distance / 4, rel=1e-5)
