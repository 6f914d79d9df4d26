"""The seeds of a stage: all of them run, and an error is not lost."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from reproduce.utils.seeds import for_each_seed

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


def write_pid(folder: Path, seed: int) -> None:
    (folder / str(seed)).write_text(str(os.getpid()))


def fail(failing: list[int], seed: int) -> None:
    """Fail for some seeds, for seed 1 last."""
    if seed in failing:
        time.sleep(0.3 if seed == 1 else 0)
        raise FloatingPointError(f"seed {seed}")


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_every_seed_runs_once(tmp_path: Path, workers: int) -> None:
    for_each_seed(partial(write_pid, tmp_path), [5, 1, 3], workers)
    assert {path.name for path in tmp_path.iterdir()} == {"5", "1", "3"}
    pids = {int(path.read_text()) for path in tmp_path.iterdir()}
    assert (os.getpid() in pids) == (workers == 1)
    assert len(pids) <= workers


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("failing", [[1, 2, 3], [3]])
def test_the_first_error_is_raised(workers: int, failing: list[int]) -> None:
    with pytest.raises(FloatingPointError, match=f"seed {failing[0]}"):
        for_each_seed(partial(fail, failing), [1, 2, 3], workers)


def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises(Exception, match="terminated abruptly"):
        for_each_seed(os._exit, [1, 2], 2)
