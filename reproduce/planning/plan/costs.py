"""How long each stage takes, what it leaves on the disk and what it costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reproduce.config import Arm, Params
from reproduce.planning.plan import memory
from reproduce.planning.plan.assumptions import GIGA, Assumptions, Machine
from reproduce.planning.plan.counts import Sampling, Work, works
from reproduce.planning.plan.shapes import ModelShape, shape_of

TERA = 10**12
HOUR = 3600.0
KEPT_BYTES = {"bf16": 2, "fp32": 4}
"""Bytes of a weight in generation."""


@dataclass(frozen=True)
class Cost:
    """What one stage takes; hours are of the clock, None where nothing is known.

    Attributes:
        training, generating, judging: hours of its parts, one after the other.
        hours: of the whole stage.
        peak: bytes on the fullest GPU; on a machine without, of the largest process.
        kept: bytes that stay on the disk.
        passing: bytes that it needs beside them while it runs.
        download: bytes.
        ratings: requests to the served judge at most.
    """

    work: Work
    training: float | None
    generating: float | None
    judging: float | None
    hours: float | None
    peak: int
    kept: int
    passing: int
    download: int

    @property
    def ratings(self) -> int:
        """Return the requests to the served judge."""
        return self.work.ratings


@dataclass(frozen=True)
class Setting:
    """All that the costs follow from."""

    params: Params
    machine: Machine
    assumed: Assumptions
    shape: ModelShape
    downloads: Mapping[str, int]


def costs(
    params: Params,
    experiments: Mapping[str, Mapping[str, Arm]],
    machine: Machine,
    assumed: Assumptions,
    downloads: Mapping[str, int],
    measured: Mapping[str, tuple[float, int]],
) -> list[Cost]:
    """Return the cost of each stage in the order in which they run.

    Args:
        params: the profile.
        experiments: its arms.
        machine: without GPUs, hours and memory are those that were measured.
        assumed: what the configuration does not say.
        downloads: bytes that a stage downloads and that are known.
        measured: stage -> hours and bytes of memory on the reference machine (0 unknown).
    """
    shape = shape_of(params.base, assumed.vocabulary)
    setting = Setting(params, machine, assumed, shape, downloads)
    found = []
    for work in works(params, experiments):
        if machine.devices:
            found.append(_on_gpus(setting, work))
        else:
            found.append(_without_gpus(setting, work, measured))
    return found


def training_hours(shape: ModelShape, tokens: float, recomputes: bool, machine: Machine,
                   mfu: float) -> float:  # fmt: skip
    """Return the hours of training on `tokens`.

    6 operations a parameter and token (Kaplan et al., 2020), 8 where activations are computed
    again (a third forward pass), at the share `mfu` of what all GPUs can do at their peak.
    """
    operations = (8 if recomputes else 6) * shape.parameters * tokens
    return operations / (machine.devices * machine.gpu.tflops * TERA * mfu) / HOUR


def generating_hours(
    shape: ModelShape, sampling: Sampling, rows: int, size: int, machine: Machine,
    assumed: Assumptions,
) -> float:  # fmt: skip
    """Return the hours in which one GPU responds, `rows` responses at once.

    Prompts are read at 2 operations a parameter and token. Each new token takes as long as the
    memory takes to give all weights (`size` bytes each), and the keys and values of the batch
    halfway, or as the products of the batch take, whichever is longer; all batches run to the end.
    """
    together = max(1, rows // sampling.samples)
    batches = math.ceil(sampling.prompts / together)
    operations = 2 * shape.parameters / (machine.gpu.tflops * TERA * assumed.mfu)
    length = assumed.tokens_per_prompt + assumed.new_tokens / 2
    at_once = min(together, sampling.prompts) * sampling.samples
    held = size * (shape.parameters + 2 * shape.layers * shape.kv * length * at_once)
    reading = held / (machine.gpu.bandwidth * GIGA * assumed.decoding)
    token = max(reading, operations * at_once)
    prompts = sampling.prompts * assumed.tokens_per_prompt * operations
    return (prompts + batches * assumed.new_tokens * token) / HOUR


def peak_of_disk(found: Sequence[Cost]) -> int:
    """Return the most bytes that lie on the disk at once: what is kept so far, and what passes."""
    kept = peak = 0
    for cost in found:
        kept += cost.kept
        peak = max(peak, kept + cost.passing)
    return peak


def _on_gpus(setting: Setting, work: Work) -> Cost:
    params, assumed, machine = setting.params, setting.assumed, setting.machine
    training = _training(setting, work)
    generating = _generating(setting, work)
    judging = _judging(setting, work)
    runs = work.runs * assumed.minutes_per_run if work.steps or work.sampling else 0.0
    rest = (runs + assumed.minutes_per_stage) / 60 + _download(setting, work) / (
        assumed.megabytes_per_second * 1e6 * HOUR
    )
    kept, passing = _disk(setting, work)
    return Cost(
        work=work,
        training=training,
        generating=generating,
        judging=judging,
        hours=training + generating + judging + rest,
        peak=_peak(params, machine, assumed, setting.shape, work),
        kept=kept,
        passing=passing,
        download=_download(setting, work),
    )


def _without_gpus(setting: Setting, work: Work, measured: Mapping[str, tuple[float, int]]) -> Cost:
    hours, held = measured.get(work.stage, (None, 0))
    kept, passing = _disk(setting, work)
    reckoned = _held(setting.params, Machine("", setting.machine.gpu, 1, 1), setting.assumed,
                     setting.shape, work)  # fmt: skip
    return Cost(
        work, None, None, None, hours, held or reckoned, kept, passing, _download(setting, work)
    )


def _training(setting: Setting, work: Work) -> float:
    params, assumed = setting.params, setting.assumed
    per_example = assumed.tokens_per_example
    if work.pretrains and params.base.training:
        per_example = params.base.training.max_length
    return training_hours(
        setting.shape, work.runs * work.seen * per_example,
        params.hardware.gradient_checkpointing, setting.machine, assumed.mfu,
    )  # fmt: skip


def _generating(setting: Setting, work: Work) -> float:
    params, assumed = setting.params, setting.assumed
    rows, gpus = params.generation.batch_size, assumed.generating_gpus
    if work.stage == "candidates" and params.candidates.served:
        gpus = assumed.serving_gpus
        rows = max(1, params.servers.sampler.concurrency // gpus)
    size = KEPT_BYTES[params.hardware.precision]
    hours = sum(
        generating_hours(setting.shape, each, rows, size, setting.machine, assumed)
        for each in work.sampling if each.prompts
    )  # fmt: skip
    return work.runs * hours / gpus


def _judging(setting: Setting, work: Work) -> float:
    params, assumed = setting.params, setting.assumed
    by_model = params.judging.entailment in ("trained", "published")
    pairs = work.faithful * assumed.pairs_per_response if by_model else 0.0
    tuning = params.judging.training
    if work.stage == "entailment" and tuning:
        # Forward and backward: three times what a judgement takes.
        pairs += 3 * tuning.pairs * tuning.epochs
    at_once = params.servers.judge.concurrency if params.servers.judge else 1
    rating = work.ratings * assumed.seconds_per_rating / at_once
    return (pairs / assumed.pairs_per_second / assumed.generating_gpus + rating) / HOUR


def _download(setting: Setting, work: Work) -> int:
    """Return what a stage downloads: what is known to the byte, else what is assumed."""
    params, assumed = setting.params, setting.assumed
    if work.stage in setting.downloads:
        return setting.downloads[work.stage]
    if work.stage == "base" and params.base.published:
        return round(setting.shape.parameters * assumed.bytes_per_downloaded)
    if work.stage == "data" and params.data.hub:
        return round(len(params.data.hub.sets) * assumed.gigabytes_per_set * GIGA)
    if work.stage == "entailment" and params.judging.published:
        return round(assumed.pair_parameters * 1e9 * 4)
    return 0


def _disk(setting: Setting, work: Work) -> tuple[int, int]:
    """Return the bytes that a stage leaves and those that it needs while it runs."""
    params, copies = setting.params, setting.assumed.copies
    model, checkpoint = memory.checkpoint_bytes(setting.shape, params.hardware)
    kept = _download(setting, work)
    if work.stage == "base":
        # Imported models are written in fp32, published ones as they are downloaded.
        published = round(setting.shape.parameters * setting.assumed.bytes_per_downloaded)
        size = published if params.base.published else 4 * setting.shape.parameters
        return kept + copies * work.runs * size, 0
    if work.stage == "entailment":
        return kept + copies * kept, 0
    # A new checkpoint is whole before the one before it goes.
    saves = work.steps and params.hardware.save_every and work.steps > params.hardware.save_every
    passing = work.stops * model + (2 * checkpoint if saves else 0)
    return kept + copies * work.runs * work.saved * model, passing


def _peak(
    params: Params, machine: Machine, assumed: Assumptions, shape: ModelShape, work: Work
) -> int:
    held = _held(params, machine, assumed, shape, work)
    return held + round(assumed.reserve * GIGA) if held else 0


def _held(
    params: Params, machine: Machine, assumed: Assumptions, shape: ModelShape, work: Work
) -> int:
    """Return the bytes of the fullest GPU: runs train, then generate; the judge stays."""
    hardware, found = params.hardware, [0]
    side_by_side = min(hardware.workers, work.runs)
    judge = 4 * round(assumed.pair_parameters * 1e9) if params.judging.published else 0
    judges = judge if work.faithful else 0
    if work.steps:
        settings = params.base.training if work.pretrains else params.training
        assert settings is not None
        held = memory.training(
            shape, hardware, machine.gpus, machine.nodes, settings.max_length,
            settings.micro_batch_size,
        )  # fmt: skip
        found.append(held.whole + judges)
    if work.stage == "candidates" and params.candidates.served:
        # A server takes what it is given of a GPU, and lets requests wait for what is left.
        found.append(memory.generation(shape, hardware, 0, 0))
    elif work.sampling:
        tokens = assumed.tokens_per_prompt + assumed.new_tokens
        rows = min(params.generation.batch_size, max(s.prompts * s.samples for s in work.sampling))
        found.append(memory.generation(shape, hardware, rows, tokens) + judges)
    else:
        found.append(judges)
    return side_by_side * max(found)
