"""What training and generation hold on each GPU, in bytes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.config import ConfigError, Hardware
from reproduce.planning.plan.shapes import ModelShape
from reproduce.utils.files import UnusableFile, read_json

ROOM = 32
"""Tokens for which the key-value cache makes room at once (kv_cache.ROOM, which needs torch)."""


@dataclass(frozen=True)
class Zero:
    """What a DeepSpeed configuration says about memory: ZeRO's stage, and what is off the GPU."""

    stage: int
    offloads_optimizer: bool = False
    offloads_parameters: bool = False

    @property
    def title(self) -> str:
        """Return it in words: "ZeRO-3, optimizer and parameters on the CPU"."""
        parts = [("optimizer", self.offloads_optimizer), ("parameters", self.offloads_parameters)]
        off = " and ".join(name for name, away in parts if away)
        return f"ZeRO-{self.stage}" + (f", {off} on the CPU" if off else "")


@dataclass(frozen=True)
class Held:
    """Bytes of a training step: states and activations on each GPU, `host` on each node.

    Attributes:
        states: weights, gradients and Adam's moments.
        inputs: the inputs of all layers where activations are computed again, else 0.
        layers: what one layer (or, where nothing is computed again, each) keeps for its gradients.
        logits: the last layer's scores with their gradients.
    """

    states: int
    inputs: int
    layers: int
    logits: int
    host: int

    @property
    def whole(self) -> int:
        """Return all bytes on one GPU."""
        return self.states + self.inputs + self.layers + self.logits


def zero_of(hardware: Hardware) -> Zero | None:
    """Return what the DeepSpeed configuration of a profile says; None without one.

    Raises UnusableFile where it cannot be read, ConfigError for a stage that is not 0 to 3.
    """
    if not hardware.deepspeed:
        return None
    told: Any = read_json(Path(hardware.deepspeed))
    if not isinstance(told, Mapping) or not isinstance(told.get("zero_optimization", {}), Mapping):
        raise UnusableFile(f"{hardware.deepspeed}: no configuration of DeepSpeed")
    found = told.get("zero_optimization", {})
    stage = found.get("stage", 0)
    if stage not in (0, 1, 2, 3):
        raise ConfigError(
            f"{hardware.deepspeed}: zero_optimization.stage is {json.dumps(stage)}; "
            "allowed: 0, 1, 2, 3"
        )
    return Zero(stage, _away(found, "offload_optimizer"), _away(found, "offload_param"))


def states(
    shape: ModelShape, hardware: Hardware, zero: Zero | None, gpus: int, nodes: int
) -> tuple[int, int]:
    """Return the bytes of weights, gradients and Adam on each GPU, and on each node's host.

    ZeRO 2 and 3 by DeepSpeed's own estimators, which assume 16-bit weights and gradients and Adam
    in fp32 (18 bytes a parameter) and models that ZeRO-3 spreads as they are loaded, as they are
    here. ZeRO 0 and 1, for which DeepSpeed has none, by Rajbhandari et al. (2020), section 3.
    Without DeepSpeed: fp32 weights, gradients and moments (16 bytes), under bf16 with a copy of
    the weights (2), with several devices with torch's buckets of gradients (4).
    """
    count, devices = shape.parameters, gpus * nodes
    if zero is None:
        half = 2 if hardware.precision == "bf16" else 0
        return count * (16 + half + (4 if devices > 1 else 0)), 4 * count * gpus
    if zero.stage < 2:
        spread = devices if zero.stage else 1
        return 4 * count + 12 * count // spread, 4 * count * gpus
    return estimated(shape, zero, gpus, nodes)


def estimated(shape: ModelShape, zero: Zero, gpus: int, nodes: int) -> tuple[int, int]:
    """Return what DeepSpeed's estimator for ZeRO 2 or 3 says, bytes a GPU and a node's host."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it looks for one as it is imported
    machine = {"num_gpus_per_node": gpus, "num_nodes": nodes}
    if zero.stage == 3:
        from deepspeed.runtime.zero import stage3

        host, held, _ = stage3.estimate_zero3_model_states_mem_needs(
            shape.parameters,
            shape.largest,
            cpu_offload=zero.offloads_optimizer,
            cpu_offload_params=zero.offloads_parameters,
            **machine,
        )
    else:
        from deepspeed.runtime.zero import stage_1_and_2

        host, held = stage_1_and_2.estimate_zero2_model_states_mem_needs(
            shape.parameters, cpu_offload=zero.offloads_optimizer, **machine
        )
    return int(held), int(host)


def activations(
    shape: ModelShape, hardware: Hardware, tokens: int, rows: int
) -> tuple[int, int, int]:
    """Return the bytes of layer inputs, of layers and of logits for `rows` of `tokens` each.

    After Korthikanti et al. (2022), "Reducing Activation Recomputation in Large Transformer
    Models": computing activations again keeps each layer's input (2 bytes a token and unit) and
    works on one layer at a time; attention scores, 5 bytes a head and pair of tokens, are kept by
    eager attention only. Their 34 h bytes a layer are of GPT with dropout; for transformers'
    LLaMA (SwiGLU, norms in fp32) we count 24 h + 8 f, f the intermediate size: 4 h inputs of the
    norms, 8 h their fp32 copies, 10 h attention, 2 h + 8 f the products; a layer's gradients take
    8 h + 4 f beside them. Logits take 12 bytes: bf16, and in fp32 log-probabilities and gradients
    (16 in fp32). In steps of small models on a CPU, logits took 12.0 bytes and layers what this
    says within 6 %; inputs took 2.5 to 2.8 bytes.
    """
    half = hardware.precision == "bf16"
    double, at_once = (1 if half else 2), tokens * rows
    h, f = shape.hidden, shape.intermediate
    scores = 5 * shape.heads * tokens if hardware.attention == "eager" else 0
    kept, working = 24 * h + 8 * f + scores, 8 * h + 4 * f
    logits = at_once * shape.vocabulary * (12 if half else 16)
    if hardware.gradient_checkpointing:
        inputs = 2 * double * at_once * h * shape.layers
        return inputs, double * at_once * (kept + working), logits
    return 0, double * at_once * (kept * shape.layers + working), logits


def training(
    shape: ModelShape, hardware: Hardware, gpus: int, nodes: int, tokens: int, rows: int
) -> Held:
    """Return what one training step holds, `rows` of `tokens` at once on each GPU."""
    found, host = states(shape, hardware, zero_of(hardware), gpus, nodes)
    return Held(found, *activations(shape, hardware, tokens, rows), host)


def generation(shape: ModelShape, hardware: Hardware, rows: int, tokens: int) -> int:
    """Return the bytes of `rows` responses at once of `tokens` with their prompts, on one GPU.

    Weights, keys and values of all layers, and one layer's that moves as its cache grows.
    """
    size = 2 if hardware.precision == "bf16" else 4
    cache = 2 * size * shape.kv * (tokens + ROOM) * rows
    return size * shape.parameters + cache * (shape.layers + 1)


def checkpoint_bytes(shape: ModelShape, hardware: Hardware) -> tuple[int, int]:
    """Return the bytes of a saved model, and of a checkpoint from which training goes on.

    Under DeepSpeed and bf16 a model has 2 bytes a parameter, and a checkpoint the weights twice
    (ZeRO's and those gathered) and Adam with its copy of them in fp32; else 4, and 4 and 8.
    """
    half = hardware.deepspeed is not None and hardware.precision == "bf16"
    return shape.parameters * (2 if half else 4), shape.parameters * (16 if half else 12)


def _away(found: Mapping[str, Any], what: str) -> bool:
    told = found.get(what) or {}
    return isinstance(told, Mapping) and told.get("device", "none") in ("cpu", "nvme")
