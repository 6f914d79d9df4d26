"""One call before model and data: seeds, threads, deterministic kernels."""

import hashlib
import os


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
