"""The plan: formulas against closed forms, counts against the code that runs, refusals."""

import math
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reproduce.cli import command
from reproduce.config import (
    Arm,
    ConfigError,
    Hardware,
    HubData,
    Params,
    by_key,
    load_experiments,
    load_params,
)
from reproduce.config.data import Data
from reproduce.examples import Example
from reproduce.files import UnusableFile
from reproduce.mixtures import mix
from reproduce.plan import costs, memory, page
from reproduce.plan.assumptions import (
    GPUS,
    WHY,
    Assumptions,
    Gpu,
    Machine,
    assumed,
    gpu_of,
    parsed,
)
from reproduce.plan.counts import Sampling, data_sets, mixed, works
from reproduce.plan.limits import refusals
from reproduce.plan.make import known_downloads, make_plan, measured, size_of, with_devices
from reproduce.plan.shapes import ModelShape, counted, shape_of
from reproduce.progress import stages
from reproduce.reset.selection import selected_examples
from reproduce.training.batches import steps_in

ROOT = Path(__file__).parent.parent
NANO = ROOT / "tests" / "nano" / "params.yaml"
LLAMA = {
    "hidden_size": 4096, "intermediate_size": 11008, "layers": 32, "heads": 32,
    "max_positions": 2048, "vocabulary": 32000,
}  # fmt: skip
RATED = {"url": "http://127.0.0.1:1/v1", "model": "judge", "budget": 10**6}
SHAPE = ModelShape(8, 24, 3, 2, 8, 50, 1000, 400)
BOX = Machine("A100-80G", GPUS["A100-80G"], 8, 1, disk=10**6)


def arms() -> dict[str, dict[str, Arm]]:
    return load_experiments(ROOT / "experiments.yaml")


def profile(**changes: Any) -> Params:
    """Return a profile of LLaMA-7B on eight GPUs; `changes` are by dotted names with __."""
    told = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    told["base"] = {"seed": 0, "published": {"model": str(ROOT), "shape": LLAMA}}
    told["training"] |= {"batch_size": 64, "micro_batch_size": 4, "max_length": 1024}
    told["generation"] = {"max_new_tokens": 256, "batch_size": 32}
    told["judging"] |= {"entailment": "published", "published": {"model": str(ROOT)},
                        "rated": RATED}  # fmt: skip
    told["hardware"] = {
        "workers": 1, "threads": 1, "base_threads": 1, "precision": "bf16", "devices": 8,
        "deepspeed": str(ROOT / "deepspeed" / "zero3.json"), "gradient_checkpointing": True,
        "launch": "torchrun --nproc_per_node 8 --no-python", "save_every": 50,
    }  # fmt: skip
    for name, value in changes.items():
        *parents, last = name.split("__")
        block = told
        for parent in parents:
            block = block[parent]
        block[last] = value
    return Params.model_validate(told)


def on(**changes: Any) -> Hardware:
    return profile().hardware.model_copy(update=changes)


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


# Counts.


def written(params: Params, experiments: dict[str, dict[str, Arm]]) -> dict[str, int]:
    """Return arm -> training examples as the code that runs draws them."""
    sets = data_sets(params.data)
    kinds: dict[str, Any] = {"CD": "extractive", "IF": "instruction"}
    data = {
        name: [Example(name, kinds[each.side], f"{name} {n}", "yes") for n in range(each.train)]
        for name, each in sets.items() if each.train
    }  # fmt: skip
    seen = mix(data, by_key(experiments)["methods/MTL"].mixture or {}, 0)
    prompts = [
        e for name in sorted(data)
        for e in [x for x in seen if x.dataset == name][: params.candidates.prompts]
    ]  # fmt: skip
    rows = [
        {"dataset": e.dataset, "example": e.id, "strategy": name, "sample": n, "response": "x",
         "task": 1.0, "faithfulness": None, "instruction": None}
        for e in prompts
        for name, decoding in params.candidates.strategies.items()
        for n in range(decoding.samples)
    ]  # fmt: skip
    return {
        name: len(mix(data, arm.mixture, 0)) if arm.mixture is not None
        else len(selected_examples(prompts, rows, arm.select, 0)) if arm.select else 0
        for name, arm in by_key(experiments).items()
    }  # fmt: skip


@pytest.mark.parametrize("path", [ROOT / "params.yaml", NANO, *ROOT.glob("profiles/*/params.yaml")],
                         ids=lambda path: path.parent.name)  # fmt: skip
def test_arms_train_on_as_many_examples_as_the_study_draws(path: Path) -> None:
    params = _loaded(path)
    found = {work.stage: work.examples for work in works(params, arms())}
    expected = written(params, arms())
    assert {name: found[name] for name in expected} == expected


def _loaded(path: Path) -> Params:
    """Return a profile whose file names others relative to its folder."""
    before = Path.cwd()
    os.chdir(path.parent if path != NANO else ROOT)
    try:
        return load_params(path)
    finally:
        os.chdir(before)


def test_counts_of_the_default_study_by_hand() -> None:
    params = load_params(ROOT / "params.yaml")
    found = {work.stage: work for work in works(params, arms())}
    assert found["methods/MTL"].examples == 6 * 300
    assert found["methods/ReSet"].examples == 6 * 135
    assert found["data-size/ReSet-11"].examples == 6 * math.ceil(0.1125 * 150)
    assert found["two-stage/IF-CD1"].examples == 300
    assert found["methods/ReSet"].steps == steps_in(810, params.training) / 3 == 51
    assert found["two-stage/base"].steps == found["two-stage/base"].saved == 0
    assert found["two-stage/IF"].sampling == (Sampling(9 * 80),) * 3
    assert found["two-stage/IF"].faithful == 3 * 3 * 6 * 80
    assert found["candidates"].sampling == (Sampling(900, 4),) * 4
    assert found["score"].faithful == 3 * 16 * 450
    assert found["base"].examples == 50000 and found["base"].pretrains
    assert not any(work.ratings for work in found.values())


def test_a_served_judge_rates_open_ended_responses_once_each() -> None:
    found = {work.stage: work.ratings for work in works(profile(), arms())}
    assert found["two-stage/IF"] == 3 * 3 * 3 * 80
    assert found["methods/ReSet"] == 3 * 3 * 80
    assert found["score"] == 3 * 16 * 450
    assert found["entailment"] == 2 * 3 * 80
    assert found["candidates"] == found["tables"] == 0


def test_no_more_models_are_evaluated_than_a_run_has_steps() -> None:
    params = profile(training__epochs=0.01)
    found = {work.stage: work for work in works(params, arms())}
    assert found["two-stage/IF"].steps == 1 and found["two-stage/IF"].stops == 0


def test_sets_of_a_hub_have_the_side_of_their_layout() -> None:
    each: dict[str, Any] = {"repo": str(ROOT), "counts": {"train": 7, "evaluation": 2},
                            "train": "a", "evaluation": "b"}  # fmt: skip
    layouts = {"x": "alpaca", "y": "mrqa-nq"}
    sets = {name: {**each, "layout": layout} for name, layout in layouts.items()}
    found = data_sets(Data(seed=0, hub=HubData.model_validate({"sets": sets})))
    assert [(each.side, each.train, each.evaluation) for each in found.values()] == [
        ("IF", 7, 2), ("CD", 7, 2),
    ]  # fmt: skip


def test_parts_that_share_a_set_never_exceed_it() -> None:
    sets = data_sets(load_params(ROOT / "params.yaml").data)
    assert mixed({"IF": 0.7, "lists": 0.7}, sets)["lists"] == 600
    assert sum(mixed({"CD/2": 0.5}, sets).values()) == 300


# Memory.


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


# Hours.


def test_a_server_spreads_over_the_gpus_that_its_command_names() -> None:
    served = {"command": "s {model} --port {port} --data-parallel-size 4 --tensor-parallel-size=2",
              "concurrency": 64}  # fmt: skip
    one = profile(candidates__served={**served, "command": "s {model} --port {port}"})
    spread = profile(candidates__served=served)
    assert assumed(one, {}).serving_gpus == 1 and assumed(spread, {}).serving_gpus == 8
    found = {each.work.stage: each for each in plan_of(spread).found}
    assert found["candidates"].peak == 2 * 6_738_415_616 + 6 * 10**9
    slow = {each.work.stage: each for each in plan_of(one).found}
    assert 1 < (slow["candidates"].generating or 0) / (found["candidates"].generating or 1) < 8


def test_training_hours_by_hand() -> None:
    machine = Machine("x", Gpu(80, 100, 1000, "s"), 2, 3)
    # 8 * 1000 * 3.6e12 operations on 6 GPUs of 1e14 a second, half of the time.
    hours = costs.training_hours(SHAPE, 3.6e12, True, machine, 0.5)
    assert hours == pytest.approx(8 * 1000 * 3.6e12 / (6 * 1e14 * 0.5) / 3600)
    assert costs.training_hours(SHAPE, 3.6e12, False, machine, 0.5) == pytest.approx(hours * 6 / 8)


def test_generating_hours_by_hand() -> None:
    machine = Machine("x", Gpu(80, 100, 1000, "s"), 2, 1)
    figures = Assumptions(mfu=0.5, decoding=0.25, tokens_per_prompt=10, new_tokens=4)
    prompts = 9 * 10 * 2 * 1000 / 5e13
    held = 2 * (1000 + 2 * 3 * 8 * 12 * 4)
    steps = math.ceil(9 / 2) * 4 * held / 2.5e11
    found = costs.generating_hours(SHAPE, Sampling(9, 2), 4, 2, machine, figures)
    assert found == pytest.approx((prompts + steps) / 3600)
    # With a memory that gives all at once, the products decide.
    fast = Machine("x", Gpu(80, 100, 1e12, "s"), 2, 1)
    bound = math.ceil(9 / 2) * 4 * 4 * 2 * 1000 / 5e13
    found = costs.generating_hours(SHAPE, Sampling(9, 2), 4, 2, fast, figures)
    assert found == pytest.approx((prompts + bound) / 3600)


def cost(kept: int, passing: int) -> costs.Cost:
    work = works(profile(), arms())[0]
    return costs.Cost(work, None, None, None, None, 0, kept, passing, 0)


def test_the_disk_is_fullest_where_most_passes() -> None:
    assert costs.peak_of_disk([cost(10, 5), cost(1, 20), cost(3, 0)]) == 31
    assert costs.peak_of_disk([cost(10, 0), cost(1, 0)]) == 11


def test_prices_are_of_what_is_used() -> None:
    plan = plan_of(profile())
    hours = sum(each.hours or 0 for each in plan.found)
    calls = sum(each.ratings for each in plan.found)
    found = page.price(page.Prices(2.0, 0.01), 8, plan.found)
    assert found == pytest.approx(8 * hours * 2.0 + calls * 0.01)
    assert "price" not in page.terminal(plan)


def test_assumptions_all_have_a_reason() -> None:
    assert set(WHY) == set(Assumptions.__dataclass_fields__)
    shown = page.markdown(plan_of(profile()))
    assert all(f"| {name} |" in shown for name in WHY)


def test_assumptions_can_be_given() -> None:
    found = assumed(profile(), parsed(["mfu=0.2", "copies=1"]))
    assert (found.mfu, found.copies, found.tokens_per_example) == (0.2, 1, 1024)
    for words, said in ((["mfy=1"], "none of mfu"), (["mfu"], "name=number"), (["mfu=0"], "above")):
        with pytest.raises(ConfigError, match=said):
            assumed(profile(), parsed(words))


def test_a_gpu_that_nobody_knows_needs_its_figures() -> None:
    assert gpu_of("A100-80G", 79, None, None).memory == 79
    assert gpu_of("L99", 48, 100, 900).bandwidth == 900
    with pytest.raises(ConfigError, match="give --tflops, --bandwidth with it"):
        gpu_of("L99", 48, None, None)


# The whole plan.


def plan_of(params: Params, machine: Machine = BOX, **given: float) -> page.Plan:
    return make_plan(params, arms(), machine, assumed(params, given), page.Prices())


@pytest.mark.parametrize("folder", [ROOT, ROOT / "profiles" / "smollm2"], ids=["tiny", "smollm2"])
def test_each_stage_stands_in_the_plan_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    params = load_params()
    without = Machine("A100-80G", GPUS["A100-80G"], 0, 1, disk=1000)
    for machine in (without, Machine("A100-80G", GPUS["A100-80G"], 1, 1, disk=1000)):
        plan = plan_of(params, machine)
        assert [each.work.stage for each in plan.found] == stages(params, arms())
        assert plan.refused == []
        lines = page.markdown(plan).splitlines()
        for name in stages(params, arms()):
            assert sum(line.startswith(f"| {name} |") for line in lines) == 1
    known = measured(folder / "timings.csv")
    whole = sum(hours for name, (hours, _) in known.items() if name in stages(params, arms()))
    found = sum(each.hours or 0 for each in plan_of(params, without).found)
    assert found == pytest.approx(whole)


def test_downloads_that_the_manifest_lists_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "smollm2")
    found = known_downloads(load_params())
    assert set(found) == {"data", "base", "entailment"} and min(found.values()) > 10**6
    assert known_downloads(load_params(ROOT / "params.yaml")) == {}


def test_the_plan_is_the_same_each_time() -> None:
    assert page.markdown(plan_of(profile())) == page.markdown(plan_of(profile()))


def test_more_gpus_or_a_lower_peak_change_what_follows_from_them() -> None:
    two = Machine("A100-80G", GPUS["A100-80G"], 8, 2, disk=10**6)
    one, both = plan_of(profile()), plan_of(profile(hardware__devices=16), two)
    for a, b in zip(one.found, both.found, strict=True):
        assert b.training == pytest.approx((a.training or 0) / 2)
        assert a.generating == b.generating
    assert both.training.states < one.training.states
    slow = plan_of(profile(), mfu=0.2)
    assert [s.training for s in slow.found] == pytest.approx(
        [2 * (s.training or 0) for s in one.found]
    )


REFUSED: list[tuple[str, dict[str, Any], Machine, list[str]]] = [
    ("memory", {"training__micro_batch_size": 8, "hardware__gradient_checkpointing": False,
                "training__max_length": 2048}, BOX, ["GB of a GPU, which has 80 GB"]),
    ("offers no memory", {}, Machine("s", Gpu(24, 1, 1, "s"), 8, 1, 10**6), ["which has 24 GB"]),
    ("disk", {}, Machine("s", GPUS["A100-80G"], 8, 1, 100), ["2,876 GB of disk, and 100 GB may"]),
    ("budget", {"judging__rated": {**RATED, "budget": 53759}}, BOX,
     ["may ask the judge 53,760 times (score 21,600", "53,759"]),
    ("devices", {}, Machine("s", GPUS["A100-80G"], 4, 1, 10**6),
     ["--gpus 4 on --nodes 1 are 4 GPUs", "hardware.devices is 8"]),
    ("nodes", {}, Machine("s", GPUS["A100-80G"], 8, 2, 10**6), ["16 GPUs", "--devices 16"]),
    ("host", {"hardware__deepspeed": str(ROOT / "deepspeed" / "zero3-offload.json")},
     Machine("s", GPUS["A100-80G"], 8, 1, 10**6, host=64), ["182 GB of main memory", "64 GB"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "machine", "said"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_does_not_fit_is_named_with_its_numbers(
    changes: dict[str, Any], machine: Machine, said: list[str]
) -> None:
    found = plan_of(profile(**changes), machine).refused
    assert len(found) == 1
    for part in said:
        assert part in found[0]


def test_what_is_free_counts_where_no_disk_is_given() -> None:
    machine = Machine("A100-80G", GPUS["A100-80G"], 8, 1)
    found = plan_of(profile()).found
    needed = costs.peak_of_disk(found)
    assert refusals(profile(), machine, found, 0, needed, 0) == []
    assert refusals(profile(), machine, found, 0, needed - 10, 10) == []
    (said,) = refusals(profile(), machine, found, 0, needed - 10, 0)
    assert "are free here" in said


def test_devices_are_checked_as_in_the_file() -> None:
    assert with_devices(profile(), 16).hardware.devices == 16
    with pytest.raises(ConfigError, match="--devices 3: .*64 is no multiple of micro_batch_size 4"):
        with_devices(profile(), 3)


def test_files_below_a_folder_are_summed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"123")
    assert size_of(tmp_path) == 3 and size_of(tmp_path / "none") == 0


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a runner of commands in the folder of a 7B profile: status, output, errors."""
    (tmp_path / "paper").mkdir()
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(profile().model_dump(mode="json", exclude_none=True)), encoding="utf-8"
    )
    for name in ("experiments.yaml", "paper/claims.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)

    def carried_out(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reproduce", *words])
        status = command()
        said = capsys.readouterr()
        return status, said.out, said.err

    return carried_out


def test_the_command_writes_markdown(run: Callable[..., Any], tmp_path: Path) -> None:
    words = ("plan", "--disk", "9000", "--price-per-call", "0.5", "--output", "plan.md")
    status, said, _ = run(*words)
    assert status == 0 and "on 8 A100-80G" in said and "judge calls" in said
    text = (tmp_path / "plan.md").read_text("utf-8")
    assert text.startswith("# Plan of the profile") and "| methods/ReSet |" in text
    assert "| --price-per-call | 0.5 |" in text and str(tmp_path) not in text
    run(*words)
    assert (tmp_path / "plan.md").read_text("utf-8") == text


def test_the_command_refuses_what_does_not_fit(run: Callable[..., Any], tmp_path: Path) -> None:
    status, said, error = run("plan", "--disk", "1", "--nodes", "2", "--gpus", "8", "--output", "x")
    assert status == 1 and "What does not fit" in said
    assert "16 GPUs" in error and "1 GB may be filled" in error and not (tmp_path / "x").exists()
    status, _, error = run("plan", "--gpu", "L99")
    assert status == 1 and "L99" in error
    status, said, _ = run("plan", "--disk", "9000", "--nodes", "2", "--devices", "16")
    assert status == 0 and "2 nodes of 8 A100-80G" in said


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/plan-*.md")), ids=lambda path: path.stem)
def test_a_committed_plan_is_what_its_command_says(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = path.read_text("utf-8")
    (said,) = re.findall(r"Made by `reproduce (.*)` in the folder of the profile", text)
    (name,) = re.findall(r"^# Plan of the profile (\S+)", text)
    words = shlex.split(said)
    words[words.index("--output") + 1] = str(tmp_path / "made.md")
    monkeypatch.chdir(ROOT / "profiles" / name)
    monkeypatch.setattr(sys, "argv", ["reproduce", *words])
    assert command() == 0
    made = (tmp_path / "made.md").read_text("utf-8")
    assert made.splitlines()[:-1] == text.splitlines()[:-1]
