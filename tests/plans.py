"""A profile of LLaMA-7B on eight GPUs, with small data, and its plan."""

from pathlib import Path
from typing import Any

import yaml
from nested import put

from reproduce.config import Arm, Hardware, Params, load_experiments
from reproduce.planning.plan import page
from reproduce.planning.plan.assumptions import GPUS, Machine, assumed
from reproduce.planning.plan.make import make_plan
from reproduce.planning.plan.shapes import ModelShape

ROOT = Path(__file__).parent.parent
LLAMA = {
    "hidden_size": 4096, "intermediate_size": 11008, "layers": 32, "heads": 32,
    "max_positions": 2048, "vocabulary": 32000,
}  # fmt: skip
JUDGE = {"url": "http://127.0.0.1:1/v1", "budget": 10**6}
SHAPE = ModelShape(8, 24, 3, 2, 8, 50, 1000, 400)
BOX = Machine("A100-80G", GPUS["A100-80G"], 8, 1, disk=10**6)


def arms() -> dict[str, dict[str, Arm]]:
    return load_experiments(ROOT / "experiments.yaml")


def profile(**changes: Any) -> Params:
    """Return a profile of LLaMA-7B on eight GPUs; `changes` are by dotted names with __."""
    told = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    told["base"] = {"published": {"model": str(ROOT), "shape": LLAMA}}
    told["training"] |= {"batch_size": 64, "micro_batch_size": 4, "max_length": 1024}
    told["generation"] = {"max_new_tokens": 256, "batch_size": 32}
    told["judging"] |= {"entailment": "published", "published": {"model": str(ROOT)},
                        "rated": {"model": "judge"}}  # fmt: skip
    told["servers"] = {"judge": JUDGE}
    told["hardware"] = {
        "workers": 1, "threads": 1, "threads_alone": 1, "precision": "bf16", "devices": 8,
        "deepspeed": str(ROOT / "deepspeed" / "zero3.json"), "gradient_checkpointing": True,
        "launch": "torchrun --nproc_per_node 8 --no-python", "save_every": 50,
    }  # fmt: skip
    return Params.model_validate(put(told, **changes))


def on(**changes: Any) -> Hardware:
    return profile().hardware.model_copy(update=changes)


def plan_of(params: Params, machine: Machine = BOX, **given: float) -> page.Plan:
    return make_plan(params, arms(), machine, assumed(params, given), page.Prices())
