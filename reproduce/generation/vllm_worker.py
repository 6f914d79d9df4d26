"""Generation by vLLM: a script that the Python of vLLM's own environment runs.

It imports nothing of this package, because vLLM pins other versions of torch and transformers.

    python vllm_worker.py JOB.json

The job names the model's folder, `max_model_len`, the file of prompts (one list of token ids per
line), the sampling parameters of each strategy, and the file for the responses: per line, in the
order of the prompts and their strategies, a list of [token ids, whether the model ended them].
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(job_file: str) -> None:
    """Generate what the job asks for; the responses appear as a whole or not at all."""
    from vllm import LLM, SamplingParams

    job: dict[str, Any] = json.loads(Path(job_file).read_text(encoding="utf-8"))
    lines = Path(job["prompts"]).read_text(encoding="utf-8").splitlines()
    prompts = [{"prompt_token_ids": json.loads(line)} for line in lines]
    llm = LLM(
        model=job["model"],
        skip_tokenizer_init=True,
        max_model_len=job["max_model_len"],
        dtype=job["dtype"],
        seed=0,
        generation_config="vllm",
    )
    target = Path(job["responses"])
    with target.with_suffix(".tmp").open("w", encoding="utf-8") as stream:
        for strategy in job["strategies"]:
            # A stream of random numbers per prompt: it does not matter which GPU gets the prompt.
            seeds = strategy.pop("seeds")
            settings = [SamplingParams(seed=seed, detokenize=False, **strategy) for seed in seeds]
            for output in llm.generate(prompts, settings):
                # "stop" is an end token, which counts as a token of the response.
                responses = [
                    [list(choice.token_ids), choice.finish_reason == "stop"]
                    for choice in sorted(output.outputs, key=lambda choice: choice.index)
                ]
                stream.write(json.dumps(responses) + "\n")
    target.with_suffix(".tmp").rename(target)


if __name__ == "__main__":
    main(sys.argv[1])
