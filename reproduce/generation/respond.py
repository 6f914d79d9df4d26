"""Responses of a checkpoint: by our own loop, or by vLLM on all GPUs."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.config import ConfigError, Decoding, Params
from reproduce.generation import vllm_worker
from reproduce.generation.generate import generate
from reproduce.models.load import load_model
from reproduce.models.tokenization import end_ids, prompt_ids
from reproduce.schema import Example, Response
from reproduce.utils.files import UnusableFile
from reproduce.utils.seeds import named_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Strategies = Mapping[str, tuple[Decoding, int]]
"""Name -> decoding and seed."""


def respond(
    checkpoint: Path,
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    strategies: Strategies,
    params: Params,
) -> dict[str, list[list[Response]]]:
    """Return strategy -> for each example the responses of the model in `checkpoint`.

    Raises ConfigError where vLLM fails.
    """
    if params.hardware.vllm:
        return _by_vllm(checkpoint, tokenizer, examples, strategies, params)
    model = load_model(checkpoint, params.hardware, half=True)
    return {
        name: generate(model, tokenizer, examples, decoding, params.generation, seed)
        for name, (decoding, seed) in strategies.items()
    }


def check_lengths(
    checkpoint: Path,
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    max_new_tokens: int,
) -> None:
    """Raise UnusableFile, with the longest prompt, where it leaves a response too few positions."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
    positions = getattr(config, "max_position_embeddings", None)
    lengths = [len(prompt_ids(tokenizer, example)) for example in examples]
    if positions and max(lengths, default=0) + max_new_tokens > positions:
        longest = examples[lengths.index(max(lengths))]
        raise UnusableFile(
            f"{longest.dataset}: the prompt of {longest.id} has {max(lengths)} tokens; with "
            f"generation.max_new_tokens {max_new_tokens} that is more than the model's {positions} "
            "positions; limit its length (context_words, prompt_bytes)"
        )


def _by_vllm(
    checkpoint: Path,
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    strategies: Strategies,
    params: Params,
) -> dict[str, list[list[Response]]]:
    """Share the prompts out to a worker per GPU, and read their token ids as our own loop does."""
    from transformers import AutoConfig, GenerationConfig

    prompts = [prompt_ids(tokenizer, example) for example in examples]
    configs = [AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)]
    if (checkpoint / "generation_config.json").is_file():
        configs.append(GenerationConfig.from_pretrained(checkpoint))
    ends, new = end_ids(tokenizer, *configs), params.generation.max_new_tokens
    workers = max(1, min(params.hardware.devices, len(prompts)))
    shares = [range(number, len(prompts), workers) for number in range(workers)]
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    gpus = gpus if len(gpus) >= workers else [str(number) for number in range(workers)]
    responses: dict[str, list[list[Response]]] = {name: [[]] * len(prompts) for name in strategies}
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for number, share in enumerate(shares):
            files = {name: str(Path(folder, f"{name}-{number}.jsonl"))
                     for name in ("prompts", "responses")}  # fmt: skip
            Path(files["prompts"]).write_text("".join(f"{prompts[n]}\n" for n in share))
            job = {
                "model": str(checkpoint.resolve()), "max_model_len": max(map(len, prompts)) + new,
                "dtype": {"fp32": "float32", "bf16": "bfloat16"}[params.hardware.precision],
                # SamplingParams of vLLM; its top_k of 0 means no limit, too.
                "strategies": [
                    {
                        "n": decoding.samples, "temperature": decoding.temperature,
                        "top_k": decoding.top_k, "top_p": decoding.top_p, "max_tokens": new,
                        "stop_token_ids": sorted(ends),
                        "seeds": [named_seed(seed, n) for n in share],
                    }
                    for decoding, seed in strategies.values()
                ],
                **files,
            }  # fmt: skip
            job_file = Path(folder, f"job-{number}.json")
            job_file.write_text(json.dumps(job))
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": gpus[number]}
            environment.pop("PYTHONPATH", None)  # vLLM's environment is not ours.
            command = [
                os.path.expandvars(str(params.hardware.vllm)),
                vllm_worker.__file__,
                str(job_file),
            ]
            processes.append(subprocess.Popen(command, env=environment))
        for process in processes:
            process.wait()
        if failed := [process.returncode for process in processes if process.returncode]:
            raise ConfigError(
                f"hardware.vllm: {len(failed)} of {workers} workers failed (status {failed[0]}); "
                "their own messages are above"
            )
        for number, share in enumerate(shares):
            lines = iter(Path(folder, f"responses-{number}.jsonl").read_text().splitlines())
            for by_prompt in responses.values():
                for n in share:
                    samples = json.loads(next(lines))
                    by_prompt[n] = [_response(tokenizer, ids, done, ends) for ids, done in samples]
    return responses


def _response(
    tokenizer: "PreTrainedTokenizerBase", ids: list[int], finished: bool, ends: set[int]
) -> Response:
    tokens = ids[:-1] if finished and ids and ids[-1] in ends else ids
    return Response(tokenizer.decode(tokens, skip_special_tokens=True).strip(), finished)
