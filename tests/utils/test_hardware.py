"""Which GPU is used, and what makes another machine."""

import os

import pytest
from support.profiles import nano_params

from reproduce.utils.hardware import environment, use_one_gpu


@pytest.mark.parametrize(("visible", "first"), [(None, "0"), ("2,3", "2"), ("", "")])
def test_one_process_sees_one_gpu(
    visible: str | None, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    use_one_gpu(nano_params(workers=1, hardware__launch="torchrun"))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    use_one_gpu(nano_params())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == first


def test_a_limit_on_the_processor_makes_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    without_limit = environment()
    assert environment() == without_limit
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert environment() != without_limit
