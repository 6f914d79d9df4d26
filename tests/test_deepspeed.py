"""DeepSpeed, switched on by the configuration, takes the same steps as the plain Trainer."""

import math
import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reproduce.config import Hardware, Training

ROOT = Path(__file__).parent.parent
ZERO2 = str(ROOT / "deepspeed" / "zero2.json")


def losses(model: Path, rows: list[Any], settings: Training, deepspeed: str | None) -> list[float]:
    """Train in a process of its own: DeepSpeed leaves a process group behind."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    from reproduce.determinism import settle
    from reproduce.models import load_model, load_tokenizer
    from reproduce.training.trainer import train

    settle(0, 1)
    hardware = Hardware(workers=1, threads=1, base_threads=1, deepspeed=deepspeed)
    with tempfile.TemporaryDirectory() as work:
        history = train(
            load_model(model), load_tokenizer(model), rows, settings, hardware, 5, Path(work), "run"
        )
    return [row["loss"] for row in history]


@pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed compiles its CPU transport")
@pytest.mark.parametrize("micro", [8, 4])
def test_zero_2_has_the_losses_of_a_plain_run(
    make_model: Any, tokenizer: Any, training: Any, settings: Training, tmp_path: Path, micro: int
) -> None:
    from reproduce.training.trainer import encode_example

    make_model().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    examples = [e for name in ("qa-single", "lists") for e in training[name][:20]]
    rows = [encode_example(tokenizer, example, 128) for example in examples]
    chosen = settings.model_copy(update={"micro_batch_size": micro})
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        plain = pool.submit(losses, tmp_path / "model", rows, chosen, None).result()
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        sharded = pool.submit(losses, tmp_path / "model", rows, chosen, ZERO2).result()
    assert len(plain) == math.ceil(40 / 8)
    assert sharded == pytest.approx(plain, abs=1e-4)
