"""The plan: counts as the pipeline makes them, memory by closed forms, hours by hand."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support.profiles import ROOT, config_error, default_profile, nano_params

from reproduce.cli import main
from reproduce.config import Arm, Base, Hardware, LoRA, Params, load_experiments, load_params
from reproduce.planning import plan
from reproduce.planning.plan import ModelSize, count_stages, model_size, training_memory
from reproduce.schema import JudgedResponse, read_records
from reproduce.study import load_study
from reproduce.utils.files import read_json

LLAMA = ModelSize(6_738_415_616, 32000 * 4096, 2 * 32 * 4096)


def arms(profile: str = ".") -> dict[str, Arm]:
    return load_experiments(ROOT / profile / "experiments.yaml").arms


LLAMA_ARMS = arms("profiles/llama-7b")


def llama(**changes: Any) -> Params:
    """Return the profile of LLaMA-7B with changes of its hardware."""
    params = load_params(ROOT / "profiles" / "llama-7b" / "params.yaml")
    names = {"deepspeed": str(ROOT / "deepspeed" / "zero3.json"), **changes}
    return params.model_copy(update={"hardware": params.hardware.model_copy(update=names)})


def test_an_adapter_takes_its_own_state_and_the_frozen_weights() -> None:
    lora = LoRA(rank=16, alpha=32)
    size = model_size(llama().base, lora)
    # Two matrices per layer and projection: 4 of 4096 x 4096, 3 of 4096 x 11008.
    adapter = 32 * 16 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert (size.adapter, size.frozen_bytes) == (adapter, 2 * LLAMA.parameters)
    memory, _ = training_memory(size, Hardware(threads=1), 1)
    assert memory == 16 * adapter + 2 * LLAMA.parameters
    quantised = model_size(llama().base, lora.model_copy(update={"quantised_base": True}))
    matrices = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    rest = LLAMA.parameters - matrices
    assert quantised.frozen_bytes == pytest.approx(2 * rest + matrices * 4.127 / 8, abs=1)


def test_counts_are_those_of_a_finished_study(shared_nano_study: Path) -> None:
    study = load_study(shared_nano_study)
    counts = count_stages(study.params, study.arms).set_index("stage")
    for name, arm in study.arms.items():
        results, planned = study.results_dir(name, study.params.seeds[0]), counts.loc[name]
        assert planned["responses"] == len(
            read_records(results / "evaluation.jsonl", JudgedResponse)
        )
        record = read_json(results / "record.json")
        assert planned["examples"] >= record["examples"]
        if arm.mixture and not record["too_long"]:
            assert (planned["examples"], planned["steps"]) == (record["examples"], record["steps"])


def test_counts_of_the_default_study_by_hand() -> None:
    counts = count_stages(load_params(ROOT / "params.yaml"), arms()).set_index("stage")
    assert counts["examples"][["MTL", "ReSet", "IF"]].tolist() == [7 * 300, 7 * 150, 900]
    assert counts["steps"][["ReSet", "base"]].tolist() == [340, 0]
    assert counts["tokens"]["MTL"] == 680 * 16 * 128
    assert counts["responses"][["IF", "candidates@MTL"]].tolist() == [3 * 10 * 80, 16 * 7 * 150]
    # Sides CD and both, three probes among them.
    assert counts["judgements"][["IF", "score@MTL"]].tolist() == [3 * 7 * 80, 17 * 4 * 150]
    assert counts["seeds"][["data", "pretrain", "MTL"]].tolist() == [1, 3, 3]
    assert not counts["ratings"].any()


def test_an_llm_judge_rates_open_ended_responses_once() -> None:
    counts = count_stages(llama(), LLAMA_ARMS).set_index("stage")
    ratings = counts["ratings"][["IF", "score@MTL", "judges", "candidates@MTL"]].tolist()
    assert ratings == [4 * 200, 17 * 4 * 1270, (2 + 3) * 4 * 200, 0]
    assert counts["examples"][["MTL", "ReSet"]].tolist() == [17_500, 7 * 1270]


def test_parameters_are_those_of_the_models() -> None:
    assert model_size(llama().base) == LLAMA
    assert model_size(Base(imported="smollm2"))[:3] == (134_515_008, 49152 * 576, 2 * 30 * 3 * 64)
    tiny = nano_params(base__tiny__hidden_size=4, base__tiny__intermediate_size=6).base
    layer = 4 * 4 * 4 + 3 * 4 * 6 + 2 * 4
    assert model_size(tiny).parameters == 289 * 4 + 2 * layer + 4


def test_a_published_model_without_a_shape_is_named() -> None:
    base = Base.model_validate({"published": {"model": "owner/name"}})
    assert "base.published.shape" in config_error(lambda: model_size(base))


@pytest.mark.parametrize(
    ("name", "gpu"),
    [("zero3", 15_685_723_136), ("zero3-offload", 4 * 131_072_000), ("zero2", 28_638_266_368)],
)
def test_states_are_shared_as_zero_shares_them(name: str, gpu: int) -> None:
    hardware = llama(deepspeed=str(ROOT / "deepspeed" / f"{name}.json")).hardware
    assert training_memory(LLAMA, hardware, 1)[0] == pytest.approx(gpu, abs=1)


def test_states_without_deepspeed_and_nodes_that_do_not_divide(hardware: Hardware) -> None:
    assert training_memory(LLAMA, hardware, 1) == (16 * LLAMA.parameters, 0)
    assert "--nodes 3" in config_error(lambda: training_memory(LLAMA, llama().hardware, 3))


def test_generation_holds_weights_keys_and_values() -> None:
    size, params = ModelSize(1000, 400, 48), nano_params()
    cached = 48 * (128 + 16) * params.generation.batch_size
    assert plan.generation_memory(size, params) == 4 * (1000 + cached)
    half = nano_params(hardware__precision="bf16")
    assert plan.generation_memory(size, half) == 2 * (1000 + cached)


def test_the_disk_holds_models_twice_and_checkpoints_for_a_while() -> None:
    frame = plan.plan_stages(llama(), LLAMA_ARMS, LLAMA, 1).set_index("stage")
    half = 2 * LLAMA.parameters
    assert frame["disk"]["MTL"] == 2 * half and frame["disk"]["pretrain"] == 3 * half
    assert frame["temporary"]["MTL"] == 2 * 16 * LLAMA.parameters
    assert frame["disk"]["base"] == frame["temporary"]["tables"] == 0
    frame["disk"], frame["temporary"] = 0, 0
    frame.loc[["data", "judges"], "disk"] = [10, 1]
    frame.loc[["data", "judges", "tables"], "temporary"] = [5, 20, 3]
    assert plan.peak_disk(frame) == 31


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["reproduce", "plan"])
    with pytest.raises(SystemExit) as status:
        main()
    assert not status.value.code
    return capsys.readouterr().out


def hours_of(text: str) -> dict[str, float]:
    """Return the hours of each stage in a plan."""
    cells = [line.split("|") for line in text.splitlines() if "|" in line]
    return {stage.strip(): float(line[-1]) for _, stage, *line, _ in cells[2:]}


def test_hours_follow_from_the_throughput(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "llama-7b")
    monkeypatch.setattr(plan, "TRAINING_FLOPS", 1000 * 8 * LLAMA.parameters)
    batches_per_second = 100 / llama().generation.batch_size
    bandwidth = batches_per_second * plan.generation_memory(LLAMA, llama())
    monkeypatch.setattr(plan, "GENERATION_BANDWIDTH", bandwidth)
    hours = hours_of(printed(monkeypatch, capsys))
    training = 411 * 128 * 1536 / (8 * 1000)
    evaluation = 1700 * 512 / (8 * 100) + 900 / (8 * 10) + 800 * 3 / 64
    assert hours["MTL"] == pytest.approx((training + evaluation + 240) / 3600, abs=0.01)
    sampling = 16 * 7 * 1270 * 512 / (8 * 100)
    assert hours["candidates@MTL"] == pytest.approx((sampling + 240) / 3600, abs=0.01)
    assert set(LLAMA_ARMS) < set(hours)


def test_a_profile_for_cpus_takes_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    default_profile(tmp_path)
    (tmp_path / "timings.csv").write_text("stage,seconds,memory_mb\nMTL,7200,10\n")
    monkeypatch.chdir(tmp_path)
    assert hours_of(printed(monkeypatch, capsys))["MTL"] == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/plan-*.md")), ids=lambda path: path.stem)
def test_a_committed_plan_is_what_the_command_prints(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = path.read_text("utf-8")
    monkeypatch.chdir(ROOT / "profiles" / re.findall(r"Plan of (\S+)", text)[0])
    assert printed(monkeypatch, capsys) == text
