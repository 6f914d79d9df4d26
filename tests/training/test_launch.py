"""Training runs: what they leave behind, and how a stopped one goes on."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from support.training_runs import saved_weights

from reproduce.config import ConfigError, Hardware, LoRA, Training
from reproduce.models.load import load_model, load_tokenizer
from reproduce.training import launch
from reproduce.training.launch import (
    CHECKPOINTS,
    Job,
    remove_checkpoints,
    run_job_file,
    run_training,
)
from reproduce.training.trainer import TRAINER_STATE, _Checkpoints, last_checkpoint

Maker = Callable[..., Job]


@pytest.fixture
def job(
    start: str, settings: Training, hardware: Hardware, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Maker:  # fmt: skip
    """Return a maker of jobs, each with a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, epochs: float = 2, evals: int = 0, **changes: Any) -> Job:
        return Job(
            title=f"{name}, seed 3", stage="arm/x", start=start,
            output_dir=str(tmp_path / name), seed=1, data_seed=5,
            training=settings.model_copy(update={"epochs": epochs}),
            hardware=hardware.model_copy(update=changes), num_intermediate_evals=evals,
        )  # fmt: skip

    return make


def model_bytes(job: Job) -> dict[str, bytes]:
    """Return file -> bytes of all that a run wrote."""
    folder = Path(job.output_dir)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stopped_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let runs break off after a step, as if they were killed."""
    on_step_end = _Checkpoints.on_step_end

    def stop(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Checkpoints, "on_step_end", stop)


def test_a_run_writes_the_model_its_tokenizer_and_nothing_else(job: Maker, rows: list[Any]) -> None:
    made = job("one", evals=2)
    history, saved = run_training(made, rows)
    assert [entry["step"] for entry in history] == list(range(1, 13))
    assert {key for entry in history for key in entry} == {"step", "loss", "learning_rate"}
    folder = Path(made.output_dir)
    start = {path.name for path in Path(made.start).iterdir()}
    assert {path.name for path in folder.iterdir()} == {*start, "intermediate"}
    assert list(saved) == [4, 8, 12] and saved[12] == folder
    assert all({path.name for path in saved[step].iterdir()} == start for step in (4, 8))
    assert load_tokenizer(saved[4]).get_vocab() == load_tokenizer(Path(made.start)).get_vocab()
    assert not CHECKPOINTS.exists()


def test_an_intermediate_model_is_that_of_its_step(job: Maker, rows: list[Any]) -> None:
    long, short = job("long", epochs=2, evals=1), job("short", epochs=1)
    _, saved = run_training(long, rows)
    run_training(short, rows)  # The schedule is constant, so both take the same first steps.
    half = saved_weights(saved[6])
    last = saved_weights(Path(short.output_dir))
    assert all(value.equal(last[name]) for name, value in half.items())
    assert not all(v.equal(last[n]) for n, v in saved_weights(Path(long.output_dir)).items())


def with_lora(job: Job, **changes: Any) -> Job:
    lora = LoRA(**{"rank": 4, "alpha": 8, "dropout": 0.1, **changes})
    settings = job.training.model_copy(update={"lora": lora, "learning_rate": 5e-2})
    return job.model_copy(update={"training": settings})


@pytest.mark.parametrize(
    ("epochs", "evals", "lora"), [(2, 2, False), (1.5, 1, False), (2, 2, True)]
)
def test_a_stopped_run_goes_on_to_the_same_bytes(
    job: Maker, rows: list[Any], monkeypatch: pytest.MonkeyPatch, epochs: float, evals: int,
    lora: bool,
) -> None:  # fmt: skip
    whole, cut = (job(name, epochs, evals, save_every=5) for name in ("whole", "cut"))
    if lora:
        whole, cut = with_lora(whole), with_lora(cut)
    whole = whole.model_copy(update={"title": "cut, seed 3"})
    expected, _ = run_training(whole, rows)
    remove_checkpoints("arm/x")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        stopped_at(patched, 7)
        run_training(cut, rows)
    (work,) = (CHECKPOINTS / "arm@x").iterdir()
    checkpoint = last_checkpoint(work)
    assert checkpoint and checkpoint.name == "checkpoint-5"
    # What was cut off while it was written, and would be the newest, is left alone.
    shutil.copytree(checkpoint, work / "checkpoint-6")
    (work / "checkpoint-6" / TRAINER_STATE).unlink()
    assert run_training(cut, rows)[0] == expected
    assert model_bytes(cut) == model_bytes(whole)


def test_an_adapter_is_merged_and_kept_and_the_next_run_starts_from_the_merged_model(
    job: Maker, rows: list[Any], hardware: Hardware
) -> None:
    first = with_lora(job("first", evals=1))
    before, saved = run_training(first, rows)
    folder = Path(first.output_dir)
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert not list(folder.glob("adapter_*")) and (folder / "model.safetensors").is_file()
    half = saved[6]
    assert (half / "adapter").is_dir() and (half / "model.safetensors").is_file()
    second = with_lora(job("second")).model_copy(update={"start": str(folder)})
    history, _ = run_training(second, rows)
    # Merged, the first adapter is part of what the second starts from.
    model = PeftModel.from_pretrained(load_model(folder, hardware), f"{second.output_dir}/adapter")
    merged = load_model(Path(second.output_dir), hardware)
    ids = torch.tensor([rows[0]["input_ids"]])
    with torch.no_grad():
        both = [m.eval()(input_ids=ids).logits for m in (model, merged)]
    assert float((both[0] - both[1]).abs().max()) < 1e-5
    first_losses, second_losses = ([e["loss"] for e in run] for run in (before, history))
    assert sum(second_losses) < sum(first_losses)  # It goes on where the first one ended.


def test_a_finished_run_is_not_repeated_until_its_checkpoints_are_removed(
    job: Maker, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = job("one", evals=1, save_every=2)
    history, _ = run_training(made, rows)
    expected = model_bytes(made)
    shutil.rmtree(made.output_dir)
    again = made.model_copy(update={"output_dir": f"{made.output_dir}-again"})
    with monkeypatch.context() as patched:
        stopped_at(patched, 1)
        assert run_training(again, rows)[0] == history
        assert model_bytes(again) == expected
        for changed in (again.model_copy(update={"data_seed": 6}), job("two", save_every=2)):
            with pytest.raises(KeyboardInterrupt):
                run_training(changed, rows)
        with pytest.raises(KeyboardInterrupt):
            run_training(again, rows[1:])
    remove_checkpoints("arm/x")
    assert not list(CHECKPOINTS.iterdir())


def test_a_launcher_gets_a_file_that_says_it_all(
    job: Maker, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = job("plain", evals=1)
    expected, _ = run_training(plain, rows)
    launched = job("launched", evals=1, launch="$LAUNCHER two words", devices=1)
    monkeypatch.setenv("LAUNCHER", "srun")
    commands = []

    def run(command: list[str], check: bool) -> Any:
        commands.append(command[:-1])
        run_job_file(Path(command[-1]))
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(launch.subprocess, "run", run)
    assert run_training(launched, rows)[0] == expected
    assert commands == [["srun", "two", "words", "reproduce", "train"]]
    assert model_bytes(launched) == model_bytes(plain)


def test_a_launcher_that_fails_is_named(job: Maker, rows: list[Any]) -> None:
    assert not os.environ.get("WORLD_SIZE")
    with pytest.raises(ConfigError, match=r"both.*`false reproduce train .*status 1"):
        run_training(job("both", devices=2, launch="false"), rows)
