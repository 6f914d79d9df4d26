"""What computes a profile, on machines that we make up."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reproduce.cli import step
from reproduce.config import Hardware, Params, PublishedBase, load_params
from reproduce.utils.hardware import in_words, keep_to_one_gpu, multiplies_bf16, resolved

ROOT = Path(__file__).parent.parent


def profile(precision: str = "auto", **hardware: str) -> Params:
    params = load_params(ROOT / "params.yaml")
    told = {**params.hardware.model_dump(), "workers": 1, "precision": precision, **hardware}
    return params.model_copy(update={"hardware": Hardware.model_validate(told)})


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool | int]]:
    """The capabilities of a processor of ours, without products in bf16."""
    known: dict[str, bool | int] = {"avx2": True, "amx_bf16": False, "l2_cache_size": 1}
    for name in ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    yield known


@pytest.mark.parametrize("product", ["amx_bf16", "avx512_bf16", "bf16"])
def test_a_processor_with_products_in_bf16_is_given_them(
    product: str, processor: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor[product] = True
    assert resolved(profile("auto")).hardware.precision == "bf16"
    assert in_words(profile("auto")) == "computed in bf16: this machine multiplies it"
    assert in_words(profile("bf16")) == in_words(profile("auto"))
    assert resolved(profile("fp32")).hardware.precision == "fp32"
    assert in_words(profile("fp32")) == ""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert resolved(profile("auto")).hardware.precision == "fp32"


def test_a_processor_without_them_computes_in_fp32(processor: dict[str, bool]) -> None:
    assert resolved(profile("auto")).hardware.precision == "fp32"
    assert in_words(profile("auto")).startswith("computed in fp32: this machine has no products")
    assert resolved(profile("bf16")).hardware.precision == "bf16"
    assert in_words(profile("bf16")).endswith("set hardware.precision to auto")


def test_of_a_profile_for_gpus_nothing_is_said(processor: dict[str, bool]) -> None:
    base = load_params(ROOT / "params.yaml").base.model_copy(
        update={"tiny": None, "training": None, "published": PublishedBase(model="llama")}
    )
    assert in_words(profile("bf16").model_copy(update={"base": base})) == ""


@pytest.mark.parametrize("multiplies", [True, False])
def test_a_gpu_is_asked_in_another_process(
    multiplies: bool, processor: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor["amx_bf16"] = not multiplies
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", asked)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("MULTIPLIES", str(multiplies))
    assert multiplies_bf16() is multiplies
    assert (tmp_path / "asked").read_text() != str(os.getpid())


def asked(including_emulation: bool) -> bool:
    assert not including_emulation
    Path(os.environ["ASKED"]).write_text(str(os.getpid()))
    return os.environ["MULTIPLIES"] == "True"


@pytest.mark.parametrize(("seen", "kept"), [(None, "0"), ("2,3", "2"), ("", "")])
def test_one_process_sees_one_gpu(
    seen: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen or "")
    if seen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    keep_to_one_gpu(profile("bf16", launch="torchrun"))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == seen
    keep_to_one_gpu(profile())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == kept


def test_a_stage_gets_one_gpu_and_a_precision(
    tmp_path: Path, processor: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "smollm2")
    monkeypatch.setattr("reproduce.cli.LOG", tmp_path / "timings.jsonl")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert load_params().hardware.precision == "auto"
    with step("candidates") as (params, _):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,2"
    with step("base") as (params, _):
        assert params.hardware.precision == "fp32"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    processor["avx512_bf16"] = True
    with step("base") as (params, _):
        assert params.hardware.precision == "bf16"
