"""The plan: hours by hand, refusals with their numbers, each stage once."""

import math
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from plans import BOX, JUDGE, ROOT, SHAPE, arms, plan_of, profile

from reproduce.cli import command
from reproduce.config import ConfigError, load_params
from reproduce.planning.plan import costs, page
from reproduce.planning.plan.assumptions import (
    GPUS,
    WHY,
    Assumptions,
    Gpu,
    Machine,
    assumed,
    gpu_of,
    parsed,
)
from reproduce.planning.plan.counts import Sampling, works
from reproduce.planning.plan.limits import refusals
from reproduce.planning.plan.make import known_downloads, measured, size_of, with_devices
from reproduce.utils.stages import stages


def test_a_server_spreads_over_the_gpus_that_its_command_names() -> None:
    command = "s {model} --port {port}"
    wide = f"{command} --data-parallel-size 4 --tensor-parallel-size=2"
    one, spread = (
        profile(candidates__served={"command": words}, servers__sampler={"concurrency": 64})
        for words in (command, wide)
    )
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
    for words, said in ((["mfy=1"], "none of mfu"), (["mfu"], "name=number"), (["mfu=0"], "above"),
                        (["copies=0.4"], "whole")):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            assumed(profile(), parsed(words))


def test_a_gpu_that_nobody_knows_needs_its_figures() -> None:
    assert gpu_of("A100-80G", 79, None, None).memory == 79
    assert gpu_of("L99", 48, 100, 900).bandwidth == 900
    with pytest.raises(ConfigError, match="give --tflops, --bandwidth with it"):
        gpu_of("L99", 48, None, None)


@pytest.mark.parametrize("folder", [ROOT, ROOT / "profiles" / "smollm2"], ids=["tiny", "smollm2"])
def test_each_stage_stands_in_the_plan_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    params = load_params()
    without = Machine("A100-80G", GPUS["A100-80G"], 0, 1, disk=1000)
    for machine in (without, Machine("A100-80G", GPUS["A100-80G"], 1, 1, disk=1000)):
        plan = plan_of(params, machine)
        assert [each.work.stage for each in plan.found] == stages(arms())
        assert plan.refused == []
        lines = page.markdown(plan).splitlines()
        for name in stages(arms()):
            assert sum(line.startswith(f"| {name} |") for line in lines) == 1
    known = measured(folder / "timings.csv")
    whole = sum(hours for name, (hours, _) in known.items() if name in stages(arms()))
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
                "training__max_length": 1792}, BOX, ["GB of a GPU, which has 80 GB"]),
    ("offers no memory", {}, Machine("s", Gpu(24, 1, 1, "s"), 8, 1, 10**6), ["which has 24 GB"]),
    ("disk", {}, Machine("s", GPUS["A100-80G"], 8, 1, 100), ["of disk, and 100 GB may be filled"]),
    ("budget", {"servers__judge": {**JUDGE, "budget": 10}}, BOX,
     ["(score 21,600 of them)", "allows 10:"]),
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


def test_the_budget_is_of_the_whole_study() -> None:
    asked = sum(work.ratings for work in works(profile(), arms()))
    assert plan_of(profile(servers__judge={**JUDGE, "budget": asked})).refused == []
    (said,) = plan_of(profile(servers__judge={**JUDGE, "budget": asked - 1})).refused
    assert f"the judge {asked:,} times" in said and f"allows {asked - 1:,}" in said


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


def test_the_guide_says_the_hours_of_the_pages() -> None:
    guide = (ROOT / "docs" / "seven-billion.md").read_text(encoding="utf-8")
    hours = []
    for name in ("plan-8xA100-80G", "plan-2x8xA100-80G"):
        lines = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").splitlines()
        head = next(line.split(" | ") for line in lines if line.startswith("| stage |"))
        whole = next(line.split(" | ") for line in lines if line.startswith("| all |"))
        hours.append(f"{float(whole[head.index('clock h')]):.0f}")
    assert f"say {' and '.join(hours)} hours" in " ".join(guide.split())
