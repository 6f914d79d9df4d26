"""Seeds: named, set together with everything that must be deterministic, and run in parallel."""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor


def named_seed(*parts: object) -> int:
    """Return a 31-bit seed that depends on every part, so no two uses share a stream."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def set_determinism(seed: int, threads: int) -> None:
    """Set torch's threads, the seeds of random, numpy and torch, and deterministic kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch
    from transformers import set_seed
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory guards against reading it unset; no code here does, and it costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    set_seed(seed)
    disable_progress_bar()


def for_each_seed(work: Callable[[int], None], seeds: Sequence[int], workers: int) -> None:
    """Call `work(seed)` for every seed, at most `workers` at a time.

    Processes are forked, so what is imported before is imported once; with more workers than
    cores the operating system shares the cores out evenly. The first error is raised.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # Its threads would not survive a fork.
    if workers == 1:
        for seed in seeds:
            work(seed)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for future in [pool.submit(work, seed) for seed in seeds]:
            future.result()
