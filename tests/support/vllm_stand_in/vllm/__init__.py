"""A stand-in for vLLM 0.33.0: its names of arguments, with generation by transformers.

`signatures.json` has the names of the parameters in vLLM's source. What the worker passes must be
among them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = json.loads((Path(__file__).parents[1] / "signatures.json").read_text())


def check(call: str, *known: str, **given: Any) -> None:
    unknown = set(given) - {name for group in known for name in NAMES[group]}
    assert not unknown, f"{call} of vLLM {NAMES['version']} has no {unknown}"


class SamplingParams:
    def __init__(self, **settings: Any) -> None:
        check("SamplingParams", "SamplingParams", **settings)
        self.settings = settings


@dataclass
class CompletionOutput:
    index: int
    token_ids: tuple[int, ...]
    finish_reason: str


@dataclass
class RequestOutput:
    outputs: list[CompletionOutput]


class LLM:
    def __init__(self, model: str, **settings: Any) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        check("LLM", "LLM", "EngineArgs", **settings)
        dtype = getattr(torch, settings["dtype"])
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
        self.limit = settings["max_model_len"]

    def generate(self, prompts: list[Any], sampling_params: Any, **more: Any) -> list[Any]:
        check("generate", "generate", **more)
        return [self.answer(*pair) for pair in zip(prompts, sampling_params, strict=True)]

    def answer(self, prompt: dict[str, Any], sampling: SamplingParams) -> RequestOutput:
        import torch

        check("prompt", "TokensPrompt", **prompt)
        ids, settings = prompt["prompt_token_ids"], sampling.settings
        assert len(ids) + settings["max_tokens"] <= self.limit
        outputs = []
        for index in range(settings["n"]):
            torch.manual_seed(settings["seed"] + index)
            sampled = settings["temperature"] > 0
            how = {"temperature": settings["temperature"], "top_p": settings["top_p"],
                   "top_k": settings["top_k"]} if sampled else {}  # fmt: skip
            made = self.model.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                max_new_tokens=settings["max_tokens"], do_sample=sampled,
                eos_token_id=settings["stop_token_ids"], **how,
            )[0, len(ids) :].tolist()  # fmt: skip
            ended = made[-1] in settings["stop_token_ids"]
            reason = "stop" if ended else "length"
            outputs.append(CompletionOutput(index, tuple(made), reason))
        return RequestOutput(outputs[::-1])
