"""Generation by vLLM's worker gives the files and responses of our own loop."""

import sys
from pathlib import Path
from typing import Any

import pytest
from support.profiles import SUPPORT, nano_params
from transformers import AutoConfig

from reproduce.config import ConfigError, Decoding, Params, check_ready
from reproduce.generation.respond import check_lengths, respond
from reproduce.models.tokenization import prompt_ids
from reproduce.schema import Example, Sets
from reproduce.utils.files import UnusableFile

GREEDY = {"greedy": (Decoding(temperature=0), 5)}
SAMPLED = {
    "warm": (Decoding(temperature=1.0, samples=3), 6),
    "narrow": (Decoding(temperature=0.7, top_k=5, top_p=0.9, samples=2), 7),
}


@pytest.fixture
def checkpoint(sharp_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    sharp_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def examples(held_out: Sets) -> list[Example]:
    return [examples[0] for examples in held_out.values()]


def with_vllm(tmp_path: Path, devices: int = 1, body: str = "") -> Params:
    """Return parameters with a Python that finds the stand-in for vLLM."""
    program = tmp_path / "vllm-python"
    stand_in = f"PYTHONPATH={SUPPORT / 'vllm_stand_in'} exec {sys.executable}"
    program.write_text(f'#!/bin/sh\n{body or stand_in} "$@"\n')
    program.chmod(0o755)
    params = nano_params(workers=1)
    changes = {"vllm": str(program), "devices": devices, "launch": "torchrun"}
    hardware = params.hardware.model_copy(update=changes)
    return params.model_copy(update={"hardware": hardware})


@pytest.mark.parametrize("devices", [1, 3])
def test_greedy_responses_are_those_of_our_own_loop(
    checkpoint: Path, tokenizer: Any, examples: list[Example], tmp_path: Path, devices: int
) -> None:
    own = respond(checkpoint, tokenizer, examples, GREEDY, nano_params())
    assert len({responses[0].text for responses in own["greedy"]}) > 3
    params = with_vllm(tmp_path, devices)
    assert respond(checkpoint, tokenizer, examples, GREEDY, params) == own


def test_samples_do_not_depend_on_the_number_of_gpus(
    checkpoint: Path, tokenizer: Any, examples: list[Example], tmp_path: Path
) -> None:
    one, two = (
        respond(checkpoint, tokenizer, examples, SAMPLED, with_vllm(tmp_path, devices))
        for devices in (1, 2)
    )
    assert one == two and list(one) == ["warm", "narrow"]
    for name, (decoding, _) in SAMPLED.items():
        assert [len(samples) for samples in one[name]] == [decoding.samples] * len(examples)
    assert len({response.text for samples in one["warm"] for response in samples}) > 5


def test_a_prompt_that_leaves_too_few_positions_is_named(
    checkpoint: Path, tokenizer: Any, examples: list[Example]
) -> None:
    positions = AutoConfig.from_pretrained(checkpoint).max_position_embeddings
    longest = max(examples, key=lambda example: len(prompt_ids(tokenizer, example)))
    room = positions - len(prompt_ids(tokenizer, longest))
    check_lengths(checkpoint, tokenizer, examples, room)
    with pytest.raises(UnusableFile, match=rf"{longest.id}.*{positions} positions"):
        check_lengths(checkpoint, tokenizer, examples, room + 1)


def test_a_worker_that_fails_or_is_no_program_is_named(
    checkpoint: Path, tokenizer: Any, examples: list[Example], tmp_path: Path
) -> None:
    params = with_vllm(tmp_path, 2, "exit 3;")
    with pytest.raises(ConfigError, match=r"hardware\.vllm: 2 of 2 workers failed \(status 3\)"):
        respond(checkpoint, tokenizer, examples, GREEDY, params)
    (tmp_path / "vllm-python").unlink()
    with pytest.raises(ConfigError, match=r"hardware\.vllm.*no program"):
        check_ready(params)
