"""ReSet's first step: candidates for seen prompts, by every decoding strategy."""

import contextlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import Decoding, Params
from reproduce.generation.generate import Response, respond
from reproduce.models.load import checkpoint, load_model, load_tokenizer
from reproduce.models.tokenization import encode_example
from reproduce.schema import Example, read_examples, write_examples
from reproduce.utils.determinism import named_seed, settle
from reproduce.utils.files import checked, read_json, sealed_folder, write_rows
from reproduce.utils.parallel import over_seeds

Row = dict[str, Any]
Respond = Callable[[Sequence[Example], Decoding, int], list[list[Response]]]
"""Draws `samples` responses to each prompt, in their order, from the stream of a seed."""


def sample_candidates(params: Params, start: Path, target: Path) -> None:
    """Write, for each seed, seen prompts of the arm at `start` and candidates for them."""
    with sealed_folder(target) as folder:
        over_seeds(partial(_sample_seed, params, start, folder), params.seeds, params.hardware)


def _sample_seed(params: Params, start: Path, folder: Path, seed: int) -> None:
    settle(named_seed("candidates", seed), params.hardware.threads)
    model = checkpoint(start, seed)
    tokenizer = load_tokenizer(model)
    longest = int(read_json(start / "record.json")["training"]["max_length"])

    def trained(example: Example) -> bool:
        return encode_example(tokenizer, example, longest) is not None

    prompts = seen_prompts(start, seed, params.candidates.prompts, trained)
    rows: list[Row] = []
    with _responder(params, model) as drawn:
        for name, decoding in params.candidates.strategies.items():
            responses = drawn(prompts, decoding, named_seed("candidates", seed, name))
            rows += [
                {"dataset": e.dataset, "example": e.id, "strategy": name, "sample": number,
                 "response": text, "ended": ended}
                for e, found in zip(prompts, responses, strict=True)
                for number, (text, ended) in enumerate(found)
            ]  # fmt: skip
    write_examples(folder / f"prompts-{seed}.jsonl", prompts)
    write_rows(folder / f"candidates-{seed}.jsonl", rows)


@contextlib.contextmanager
def _responder(params: Params, model: Path) -> Iterator[Respond]:
    """Yield what draws responses from the model in a folder: this process, or a server."""
    if params.candidates.served:
        from reproduce.reset.served import served

        with served(
            params.candidates.served, params.servers.sampler, model, params.generation
        ) as drawn:
            yield drawn
        return
    loaded = load_model(model, params.hardware, generates=True)
    tokenizer = load_tokenizer(model)

    def respond_here(
        examples: Sequence[Example], decoding: Decoding, seed: int
    ) -> list[list[Response]]:
        return respond(loaded, tokenizer, examples, decoding, params.generation, seed)

    yield respond_here


def seen_prompts(
    arm: Path, seed: int, count: int, trained: Callable[[Example], bool]
) -> list[Example]:
    """Return at most `count` training examples a data set of the arm at `arm`.

    `trained` says of an example whether the arm saw it: some are too long to be trained on.
    """
    examples = read_examples(checked(arm) / f"seed-{seed}" / "train.jsonl")
    sets: dict[str, list[Example]] = defaultdict(list)
    for example in filter(trained, examples):
        sets[example.dataset].append(example)
    rng = random.Random(f"prompts-{seed}")
    return [e for name in sorted(sets) for e in rng.sample(sets[name], min(count, len(sets[name])))]
