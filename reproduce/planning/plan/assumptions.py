"""What a plan assumes: a machine, and figures that nobody knows before the study runs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from reproduce.config import ConfigError, Params

GIGA = 10**9
"""Memory, disks and downloads are in GB of 10^9 bytes, as data sheets have them."""


@dataclass(frozen=True)
class Gpu:
    """A GPU by its maker's data sheet.

    Attributes:
        memory: GB.
        tflops: peak of dense bf16 products in 10^12 operations a second.
        bandwidth: of its memory, GB a second.
        source: the data sheet.
    """

    memory: float
    tflops: float
    bandwidth: float
    source: str


GPUS = {
    "A100-40G": Gpu(40, 312, 1555, "NVIDIA A100 data sheet, SXM, 40 GB"),
    "A100-80G": Gpu(80, 312, 2039, "NVIDIA A100 data sheet, SXM, 80 GB"),
    "H100-80G": Gpu(80, 989, 3350, "NVIDIA H100 data sheet, SXM (sparse figure halved)"),
    "H200-141G": Gpu(141, 989, 4800, "NVIDIA H200 data sheet, SXM (sparse figure halved)"),
}  # fmt: skip
"""The GPUs that `--gpu` knows."""


@dataclass(frozen=True)
class Machine:
    """The hardware that a plan is for.

    Attributes:
        gpus: of each node; 0 for a machine without.
        disk: GB that may be filled; None for what is free.
        host: GB of main memory of each node; None where that is not checked.
    """

    name: str
    gpu: Gpu
    gpus: int
    nodes: int
    disk: float | None = None
    host: float | None = None

    @property
    def devices(self) -> int:
        """Return the number of all GPUs."""
        return self.gpus * self.nodes


@dataclass(frozen=True)
class Assumptions:
    """Figures that the configuration does not hold; WHY says where each comes from."""

    mfu: float = 0.4
    decoding: float = 0.3
    tokens_per_example: int = 0
    tokens_per_prompt: int = 0
    new_tokens: int = 0
    generating_gpus: int = 1
    serving_gpus: int = 1
    minutes_per_run: float = 3.0
    minutes_per_stage: float = 1.0
    pairs_per_response: float = 20.0
    pairs_per_second: float = 200.0
    pair_parameters: float = 0.44
    seconds_per_rating: float = 3.0
    reserve: float = 6.0
    bytes_per_downloaded: float = 2.0
    gigabytes_per_set: float = 1.0
    megabytes_per_second: float = 50.0
    copies: int = 2
    vocabulary: int = 300


WHY: Mapping[str, tuple[str, str]] = {
    "mfu": ("of the peak", "training, recomputed products counted; a guess, not measured here"),
    "decoding": ("of the bandwidth", "generation token by token; a guess, not measured here"),
    "tokens_per_example": ("tokens", "of a training row with its padding; training.max_length, "
                           "which no row exceeds"),
    "tokens_per_prompt": ("tokens", "of an evaluated or sampled prompt; training.max_length"),
    "new_tokens": ("tokens", "until a batch ends; generation.max_new_tokens, its bound"),
    "generating_gpus": ("GPUs", "that generate and judge at once: a run does so in one process"),
    "serving_gpus": ("GPUs", "of the server of candidates: what candidates.served.command says in "
                     "options that end in parallel-size"),
    "minutes_per_run": ("minutes", "to load, spread and save a model, a run; a guess"),
    "minutes_per_stage": ("minutes", "of a stage beside its runs; a guess"),
    "pairs_per_response": ("pairs", "sentences of a context times those of a response; a guess"),
    "pairs_per_second": ("pairs a second", "of the entailment model; a guess"),
    "pair_parameters": ("10^9", "parameters of a published entailment model: 0.44 is the size of "
                        "DeBERTa-v3-large"),
    "seconds_per_rating": ("seconds", "of a request to the served judge; a guess"),
    "reserve": ("GB a GPU", "CUDA's context, NCCL, ZeRO's buckets, fragmentation; a guess"),
    "bytes_per_downloaded": ("bytes", "a parameter of a published model as it is downloaded"),
    "gigabytes_per_set": ("GB", "of a data set of a hub; a guess"),
    "megabytes_per_second": ("MB a second", "of downloads; a guess"),
    "copies": ("copies", "of each artifact: DVC's cache has one more where the file system cannot "
               "share blocks (1 where it can)"),
    "vocabulary": ("words", "of a tokenizer that the study builds itself; that of the generated "
                   "world has 289"),
}  # fmt: skip
"""Assumption -> its unit, and what it is and where it comes from."""

SHARES = ("mfu", "decoding")
"""Assumptions that are shares."""

ALWAYS = ("tokens_per_prompt", "new_tokens", "bytes_per_downloaded", "copies", "vocabulary")
"""Assumptions that count on a machine without a GPU, too."""


def assumed(params: Params, given: Mapping[str, float]) -> Assumptions:
    """Return the assumptions for a profile, with those in `given` in place of the usual ones.

    Raises ConfigError naming one that does not exist, or that is not above 0.
    """
    known = {field.name: field.type for field in fields(Assumptions)}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"--assume: '{name}' is none of {', '.join(known)}")
        if not 0 < value < float("inf"):
            raise ConfigError(f"--assume: {name} is {value:g}; it must be above 0 and finite")
        if name in SHARES and value > 1:
            raise ConfigError(f"--assume: {name} is {value:g}; it is a share of a peak, at most 1")
        if known[name] is int and value != round(value):
            raise ConfigError(f"--assume: {name} is {value:g}; it must be a whole number")
    usual = Assumptions(
        tokens_per_example=params.training.max_length,
        tokens_per_prompt=params.training.max_length,
        new_tokens=params.generation.max_new_tokens,
        serving_gpus=_serving(params),
    )
    whole: dict[str, Any] = {
        name: round(value) if known[name] is int else value for name, value in given.items()
    }
    return replace(usual, **whole)


def _serving(params: Params) -> int:
    """Return the product of all "--...parallel-size N" of the server's command; 1 without."""
    command = params.candidates.served.command if params.candidates.served else ""
    sizes = re.findall(r"parallel-size[ =](\d+)", command)
    return math.prod(map(int, sizes))


def parsed(words: Sequence[str]) -> dict[str, float]:
    """Return name -> number of "name=number" words; raise ConfigError naming one that is not so."""
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--assume: '{word}' is not name=number (mfu=0.35)") from None
    return found


def gpu_of(name: str, memory: float | None, tflops: float | None, bandwidth: float | None) -> Gpu:
    """Return a GPU of GPUS with the figures that are given in place of its own.

    Raises ConfigError where it is none of them and a figure is missing.
    """
    given = {"memory": memory, "tflops": tflops, "bandwidth": bandwidth}
    own = {key: value for key, value in given.items() if value is not None}
    if name in GPUS:
        source = GPUS[name].source + ("" if not own else f"; given: {', '.join(own)}")
        return replace(GPUS[name], source=source, **own)
    if len(own) < len(given):
        missing = ", ".join(
            {"memory": "--gpu-memory", "tflops": "--tflops", "bandwidth": "--bandwidth"}[key]
            for key in given if key not in own
        )  # fmt: skip
        raise ConfigError(f"--gpu: '{name}' is none of {', '.join(GPUS)}; give {missing} with it")
    return Gpu(source="given", **own)
