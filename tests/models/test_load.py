"""Models on disk: found by seed, counted, loaded in the precision of the profile."""

from pathlib import Path
from typing import Any

import pytest
import torch

from reproduce.config import Hardware
from reproduce.models.load import count_parameters, find_checkpoint, load_model
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
