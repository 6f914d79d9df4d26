"""Precision and GPUs on machines that are made up."""

import os
from pathlib import Path

import pytest
import torch

from reproduce.config import Params, load_params
from reproduce.utils import hardware
from reproduce.utils.hardware import (
    CPU_LIMITS,
    describe_precision,
    machine,
    resolve_precision,
    use_one_gpu,
)

ROOT = Path(__file__).parents[2]


def profile(precision: str = "auto", **changes: str) -> Params:
    params = load_params(ROOT / "params.yaml")
    changed = params.hardware.model_copy(update={"precision": precision, **changes})
    return params.model_copy(update={"hardware": changed})


@pytest.fixture
def capabilities(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The capabilities of a processor without bf16, on a machine without GPU."""
    names = {"avx2": True, "amx_bf16": False}
    for name in CPU_LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: names)
    return names


@pytest.mark.parametrize("instruction", ["amx_bf16", "avx512_bf16", "bf16"])
def test_a_processor_that_multiplies_bf16_uses_it(
    instruction: str, capabilities: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities[instruction] = True
    assert resolve_precision(profile("auto")).hardware.precision == "bf16"
    assert resolve_precision(profile("fp32")).hardware.precision == "fp32"
    assert describe_precision(profile("bf16")) == describe_precision(profile("auto"))
    assert describe_precision(profile("fp32")) == ""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert resolve_precision(profile("auto")).hardware.precision == "fp32"


def test_a_processor_without_bf16_uses_fp32(capabilities: dict[str, bool]) -> None:
    assert resolve_precision(profile("auto")).hardware.precision == "fp32"
    assert "fp32" in describe_precision(profile("auto"))
    assert resolve_precision(profile("bf16")).hardware.precision == "bf16"
    assert "auto" in describe_precision(profile("bf16"))


@pytest.mark.parametrize(
    ("compute_capability", "precision"), [("8.0", "bf16"), ("9.0", "bf16"), ("7.5", "fp32")]
)
def test_a_gpu_decides_where_there_is_one(
    compute_capability: str,
    precision: str,
    capabilities: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capabilities["amx_bf16"] = precision == "fp32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(hardware, "_nvidia_smi", lambda query: [compute_capability])
    assert resolve_precision(profile("auto")).hardware.precision == precision


@pytest.mark.parametrize(("visible", "first"), [(None, "0"), ("2,3", "2"), ("", "")])
def test_one_process_sees_one_gpu(
    visible: str | None, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    use_one_gpu(profile("bf16", launch="torchrun"))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    use_one_gpu(profile())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == first


def test_a_limit_on_the_processor_makes_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    without_limit = machine()
    assert machine() == without_limit
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert machine() != without_limit
