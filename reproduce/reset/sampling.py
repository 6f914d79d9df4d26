"""ReSet's first step: candidates for seen prompts, by every decoding strategy."""

import random
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import Params
from reproduce.determinism import named_seed, settle
from reproduce.examples import Example, read_examples, write_examples
from reproduce.files import checked, sealed_folder, write_rows
from reproduce.generate import respond
from reproduce.models import checkpoint, load_model, load_tokenizer
from reproduce.parallel import over_seeds

Row = dict[str, Any]


def sample_candidates(params: Params, start: Path, target: Path) -> None:
    """Write, for each seed, seen prompts of the arm at `start` and candidates for them."""
    with sealed_folder(target) as folder:
        over_seeds(partial(_sample_seed, params, start, folder), params.seeds, params.hardware)


def _sample_seed(params: Params, start: Path, folder: Path, seed: int) -> None:
    settle(named_seed("candidates", seed), params.hardware.threads)
    prompts = seen_prompts(start, seed, params.candidates.prompts)
    model = load_model(checkpoint(start, seed), params.hardware, generates=True)
    tokenizer = load_tokenizer(checkpoint(start, seed))
    rows: list[Row] = []
    for name, decoding in params.candidates.strategies.items():
        stream = named_seed("candidates", seed, name)
        texts = respond(model, tokenizer, prompts, decoding, params.generation, stream)
        rows += [
            {"dataset": e.dataset, "example": e.id, "strategy": name, "sample": number,
             "response": text}
            for e, found in zip(prompts, texts, strict=True)
            for number, text in enumerate(found)
        ]  # fmt: skip
    write_examples(folder / f"prompts-{seed}.jsonl", prompts)
    write_rows(folder / f"candidates-{seed}.jsonl", rows)


def seen_prompts(arm: Path, seed: int, count: int) -> list[Example]:
    """Return at most `count` training examples a data set of the arm at `arm`."""
    examples = read_examples(checked(arm) / f"seed-{seed}" / "train.jsonl")
    sets: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        sets[example.dataset].append(example)
    rng = random.Random(f"prompts-{seed}")
    return [e for name in sorted(sets) for e in rng.sample(sets[name], min(count, len(sets[name])))]
