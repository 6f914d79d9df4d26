"""The precision of a profile that leaves it to the machine, on machines that we make up."""

from pathlib import Path

import pytest
import torch

from reproduce.config import Params, load_params
from reproduce.environment import compute_capabilities, environment
from reproduce.precision import in_words, multiplies_bf16, resolved

ROOT = Path(__file__).parent.parent


def profile(precision: str) -> Params:
    params = load_params(ROOT / "params.yaml")
    hardware = params.hardware.model_copy(update={"precision": precision})
    return params.model_copy(update={"hardware": hardware})


def processor(monkeypatch: pytest.MonkeyPatch, *products: str) -> None:
    known = {"avx2": True, "amx_bf16": False, "l2_cache_size": 1, **dict.fromkeys(products, True)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)


def gpus(monkeypatch: pytest.MonkeyPatch, folder: Path, told: str, status: int = 0) -> None:
    driver = folder / "nvidia-smi"
    driver.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\nprintf "{told}"\nexit {status}\n')
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("products", [["amx_bf16"], ["avx512_bf16"], ["bf16"]])
def test_a_processor_with_products_in_bf16_is_given_them(
    products: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, *products)
    assert resolved(profile("auto")).hardware.precision == "bf16"
    assert in_words(profile("auto")) == "computed in bf16: this machine multiplies bf16"
    assert in_words(profile("bf16")) == "computed in bf16: this machine multiplies bf16"


def test_a_processor_without_them_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch)
    assert resolved(profile("auto")).hardware.precision == "fp32"
    assert in_words(profile("auto")) == "computed in fp32: this machine has no products in bf16"


def test_what_a_profile_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch)
    assert resolved(profile("bf16")).hardware.precision == "bf16"
    assert in_words(profile("bf16")).endswith("set hardware.precision to auto")
    processor(monkeypatch, "amx_bf16")
    assert resolved(profile("fp32")).hardware.precision == "fp32"
    assert in_words(profile("fp32")) == ""


@pytest.mark.parametrize(
    ("told", "expected"), [("8.0\\n9.0\\n", True), ("7.5\\n9.0\\n", False), ("", False)]
)
def test_the_weakest_gpu_decides(
    told: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, "amx_bf16")
    gpus(monkeypatch, tmp_path, told)
    assert multiplies_bf16() is expected
    assert "--query-gpu=compute_cap" in (tmp_path / "asked").read_text()


def test_a_driver_that_fails_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, tmp_path, "Failed to initialize\\n", status=9)
    assert compute_capabilities() == []
    assert "GPUs" not in environment()


def test_the_commands_of_a_study_see_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    from reproduce.here import settings

    monkeypatch.chdir(ROOT / "profiles" / "smollm2")
    assert load_params().hardware.precision == "auto"
    processor(monkeypatch, "avx512_bf16")
    assert settings()[0].hardware.precision == "bf16"
    processor(monkeypatch)
    assert settings()[0].hardware.precision == "fp32"
