"""What is kept of the speed of training runs, and what is made of it."""

import json
from pathlib import Path

import pytest
import torch
from reproduce.training.speed import model_flops_utilisation, note_speed

from reproduce.training import speed
from reproduce.utils.stage_log import logged


def test_a_run_is_noted_with_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    note_speed("methods/MTL", "methods/MTL, seed 0", 1200.0, 2.5, 1000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_000_000_000)
    note_speed("methods/MTL", "methods/MTL, seed 1", 1200.0, 2.0, 1000)
    first, second = logged(speed.LOG)
    assert (first["tokens"], first["seconds"], first["device"]) == (1200, 2.5, "cpu")
    assert "device_memory_mb" not in first
    assert (second["device"], second["device_memory_mb"], second["devices"]) == ("a GPU", 3000, 1)


def test_the_share_of_the_peak_by_hand() -> None:
    # 6 * 1e9 parameters * 1e4 tokens in 100 s are 6e11 a second, on two devices of 1e12.
    run = {"parameters": 1e9, "tokens": 1e4, "seconds": 100.0, "devices": 2}
    assert model_flops_utilisation([run], 1e12) == pytest.approx(0.3)
    assert model_flops_utilisation([run, {**run, "seconds": 200.0}], 1e12) == pytest.approx(0.225)


def test_a_line_that_was_cut_off_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    note_speed("base", "pretraining, seed 0", 10.0, 1.0, 5)
    with speed.LOG.open("a") as stream:
        stream.write(json.dumps({"stage": "base"})[:9])
    assert [row["run"] for row in logged(speed.LOG)] == ["pretraining, seed 0"]
