"""The environment in which launchers find this code and compile DeepSpeed's parts once."""

import os
import sys
from pathlib import Path

import pytest
from support.profiles import ROOT


@pytest.fixture
def distributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare launches from `tmp_path`, which is also the working directory."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Kept between runs: the first launch on a machine compiles for minutes.
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(Path.home() / ".cache" / "torch_extensions"))
    monkeypatch.chdir(tmp_path)
