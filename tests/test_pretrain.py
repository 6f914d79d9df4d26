"""Base models: one per seed where they are pretrained, each independent of the others."""

from dataclasses import replace

import pytest
from safetensors.torch import load_file

from reproduce.models.load import find_checkpoint, load_tokenizer
from reproduce.pretrain import pretrain
from reproduce.study import Study
from reproduce.utils.files import UnusableFile


def test_each_seed_has_its_own_model_whatever_other_seeds_there_are(nano_study: Study) -> None:
    models = nano_study.artifacts / "models" / "pretrained"
    first, second = (find_checkpoint(models, seed) for seed in (0, 1))
    weights = [load_file(model / "model.safetensors") for model in (first, second)]
    assert all(not weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert load_tokenizer(first).get_vocab() == load_tokenizer(second).get_vocab()
    before = (second / "model.safetensors").read_bytes()
    pretrain(replace(nano_study, params=nano_study.params.model_copy(update={"seeds": [1]})))
    assert (second / "model.safetensors").read_bytes() == before
    with pytest.raises(UnusableFile, match="seed 0"):
        find_checkpoint(models, 0)
