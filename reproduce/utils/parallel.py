"""The seeds of one stage in parallel, each in a process of its own."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reproduce.config import Hardware


def for_each_seed(work: Callable[[int], None], seeds: Sequence[int], hardware: "Hardware") -> None:
    """Call `work(seed)` for every seed, at most `hardware.workers` at a time.

    Processes are forked, so what is imported before is imported once; with more workers than
    cores the operating system shares the cores out evenly. The first error is raised.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # Its threads would not survive a fork.
    if hardware.workers == 1:
        for seed in seeds:
            work(seed)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(hardware.workers, mp_context=context) as pool:
        for future in [pool.submit(work, seed) for seed in seeds]:
            future.result()
