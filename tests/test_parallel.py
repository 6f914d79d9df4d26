"""Seeds side by side: all of them run, and an error is not lost."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from reproduce.config import Hardware
from reproduce.utils.parallel import over_seeds

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


def hardware(workers: int) -> Hardware:
    return Hardware(workers=workers, threads=1, threads_alone=1)


def note(folder: Path, seed: int) -> None:
    (folder / str(seed)).write_text(str(os.getpid()))


def fail(folder: Path, seed: int) -> None:
    """Fail for every seed, the first one last."""
    note(folder, seed)
    time.sleep(0.3 if seed == 1 else 0)
    raise FloatingPointError(f"seed {seed}")


def fail_some(folder: Path, seed: int) -> None:
    note(folder, seed)
    if seed == 2:
        raise FloatingPointError(f"seed {seed}")


def die(folder: Path, seed: int) -> None:
    note(folder, seed)
    os._exit(3)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_every_seed_runs_once(tmp_path: Path, workers: int) -> None:
    over_seeds(partial(note, tmp_path), [5, 1, 3], hardware(workers))
    assert {path.name for path in tmp_path.iterdir()} == {"5", "1", "3"}
    ran_in = {int(path.read_text()) for path in tmp_path.iterdir()}
    assert (os.getpid() in ran_in) == (workers == 1)
    assert len(ran_in) <= workers


def test_one_worker_runs_in_order_and_in_process() -> None:
    seen: list[int] = []
    over_seeds(seen.append, [3, 1, 2], hardware(1))
    assert seen == [3, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_is_raised(tmp_path: Path, workers: int) -> None:
    with pytest.raises(FloatingPointError, match="seed 1"):
        over_seeds(partial(fail, tmp_path), [1, 2, 3], hardware(workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_later_seed_is_not_lost(tmp_path: Path, workers: int) -> None:
    with pytest.raises(FloatingPointError, match="seed 2"):
        over_seeds(partial(fail_some, tmp_path), [1, 2], hardware(workers))


def test_a_process_that_dies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="terminated abruptly"):
        over_seeds(partial(die, tmp_path), [1, 2], hardware(2))
