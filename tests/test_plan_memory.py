"""Parameters and bytes: closed forms, and DeepSpeed's own estimators."""

from pathlib import Path

import pytest
from plans import ROOT, SHAPE, on, plan_of, profile

from reproduce.config import ConfigError, load_params
from reproduce.planning.plan import memory, page
from reproduce.planning.plan.shapes import counted, shape_of
from reproduce.utils.files import UnusableFile


def test_llama_7b_has_its_parameters() -> None:
    shape = shape_of(profile().base, 300)
    assert shape.parameters == 6_738_415_616
    assert shape.largest == 32000 * 4096 and shape.kv == 4096


def test_a_small_llama_has_the_parameters_that_one_counts_by_hand() -> None:
    config = {"vocab_size": 10, "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 2,
              "num_attention_heads": 2}  # fmt: skip
    layer = 4 * 4 * 4 + 3 * 4 * 6 + 2 * 4
    assert counted(**config, tie_word_embeddings=True).parameters == 10 * 4 + 2 * layer + 4
    assert counted(**config, tie_word_embeddings=False).parameters == 2 * 10 * 4 + 2 * layer + 4


def test_smollm2_has_its_parameters_and_shares_its_heads() -> None:
    shape = shape_of(load_params(ROOT / "profiles" / "smollm2" / "params.yaml").base, 0)
    assert shape.parameters == 134_515_008 and shape.kv == 192


def test_a_published_model_without_a_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"base\.published\.shape: missing"):
        shape_of(profile(base__published={"model": str(ROOT)}).base, 0)


@pytest.mark.parametrize(
    ("name", "stage", "gpu"),
    [
        ("zero3", 3, 4 * 131_072_000 + 18 * 6_738_415_616 // 8),
        ("zero3-offload", 3, 4 * 131_072_000),
        ("zero2", 2, 2 * 6_738_415_616 + 18 * 6_738_415_616 // 8),
    ],
)
def test_states_are_those_of_deepspeeds_estimators(name: str, stage: int, gpu: int) -> None:
    from deepspeed.runtime.zero import stage3, stage_1_and_2

    shape = shape_of(profile().base, 0)
    hardware = on(deepspeed=str(ROOT / "deepspeed" / f"{name}.json"))
    zero = memory.zero_of(hardware)
    assert zero and zero.stage == stage
    off = name.endswith("offload")
    if stage == 3:
        host, held, _ = stage3.estimate_zero3_model_states_mem_needs(
            shape.parameters, shape.largest, 8, 1, cpu_offload=off, cpu_offload_params=off
        )
    else:
        host, held = stage_1_and_2.estimate_zero2_model_states_mem_needs(
            shape.parameters, 8, 1, cpu_offload=off
        )
    assert memory.states(shape, hardware, zero, 8, 1) == (held, host)
    assert held == pytest.approx(gpu, abs=1)


def test_the_page_shows_the_states_of_the_estimator() -> None:
    plan = plan_of(profile())
    assert f"{(4 * 131_072_000 + 18 * 6_738_415_616 // 8) / 1e9:.2f}" in page.terminal(plan)
    assert "16-bit training with Adam, as it is here" in page.terminal(plan)
    assert "takes more" in page.terminal(plan_of(profile(hardware__precision="fp32")))


def test_states_without_an_estimator() -> None:
    none, one = memory.Zero(0), memory.Zero(1)
    assert memory.states(SHAPE, on(), none, 4, 1)[0] == 16 * 1000
    assert memory.states(SHAPE, on(), one, 4, 1)[0] == 4 * 1000 + 12 * 1000 / 4
    assert memory.states(SHAPE, on(precision="fp32"), None, 1, 1)[0] == 16 * 1000
    assert memory.states(SHAPE, on(), None, 2, 1)[0] == (16 + 2 + 4) * 1000


def test_activations_by_hand() -> None:
    tokens, rows = 5, 2
    kept, working = 24 * 8 + 8 * 24, 8 * 8 + 4 * 24
    found = memory.activations(SHAPE, on(), tokens, rows)
    assert found == (2 * 10 * 8 * 3, 10 * (kept + working), 10 * 50 * 12)
    whole = memory.activations(SHAPE, on(gradient_checkpointing=False), tokens, rows)
    assert whole == (0, 10 * (3 * kept + working), 10 * 50 * 12)
    eager = on(gradient_checkpointing=False, attention="eager")
    scores = memory.activations(SHAPE, eager, tokens, rows)[1] - whole[1]
    assert scores == 3 * 5 * 2 * tokens**2 * rows
    full = memory.activations(SHAPE, on(precision="fp32"), tokens, rows)
    assert full == (2 * found[0], 2 * found[1], 10 * 50 * 16)


def test_generation_holds_weights_and_keys_and_values() -> None:
    cache = 2 * 2 * 8 * (100 + 32) * 7
    assert memory.generation(SHAPE, on(), 7, 100) == 2 * 1000 + cache * 4
    assert memory.generation(SHAPE, on(precision="fp32"), 7, 100) == 4 * 1000 + 2 * cache * 4


def test_saved_models_and_checkpoints() -> None:
    assert memory.checkpoint_bytes(SHAPE, on()) == (2000, 16000)
    assert memory.checkpoint_bytes(SHAPE, on(deepspeed=None)) == (4000, 12000)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ("{", UnusableFile, "unreadable"),
        ("[]", UnusableFile, "no configuration of DeepSpeed"),
        ('{"zero_optimization": {"stage": "three"}}', ConfigError, '"three"; allowed: 0, 1, 2, 3'),
    ],
)
def test_a_wrong_deepspeed_file_is_named(
    tmp_path: Path, content: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "ds.json").write_text(content, encoding="utf-8")
    with pytest.raises(error, match="ds.json") as found:
        memory.zero_of(on(deepspeed=str(tmp_path / "ds.json")))
    assert said in str(found.value)
