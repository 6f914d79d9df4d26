"""ReSet: sample candidates from the MTL model, score them, select; training is train.py's.

Wu et al. (2024), caption of figure 8: responses to seen prompts by several decoding
strategies are rated by a weighted score of task performance, faithfulness and instruction
following, and the top-rated ones fine-tune the MTL model further.
"""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import Params, Selection, Weights
from reproduce.determinism import named_seed, settle
from reproduce.evaluate import entailment_model, judged
from reproduce.examples import Example, read_examples, write_examples
from reproduce.files import checked, read_rows, sealed_folder, write_rows
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
    model = load_model(checkpoint(start, seed))
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


def score_candidates(params: Params, candidates: Path, target: Path) -> None:
    """Write the candidates of every seed with their judgements, beside their prompts."""
    checked(candidates)
    with sealed_folder(target) as folder:
        over_seeds(partial(_score_seed, params, candidates, folder), params.seeds, params.hardware)


def _score_seed(params: Params, candidates: Path, folder: Path, seed: int) -> None:
    prompts = read_examples(candidates / f"prompts-{seed}.jsonl")
    rows = read_rows(candidates / f"candidates-{seed}.jsonl")
    examples = {example.id: example for example in prompts}
    scored = judged(rows, examples, entailment_model(params.judging))
    write_examples(folder / f"prompts-{seed}.jsonl", prompts)
    write_rows(folder / f"scores-{seed}.jsonl", scored)


def reward(row: Mapping[str, Any], weights: Weights) -> float:
    """Return the weighted mean of the judges that apply; 0 if none with a weight does."""
    parts = [
        (weight, row[name])
        for name, weight in (
            ("task", weights.task),
            ("faithfulness", weights.faithfulness),
            ("instruction", weights.instruction),
        )
        if row[name] is not None
    ]
    total = sum(weight for weight, _ in parts)
    return sum(weight * score for weight, score in parts) / total if total else 0.0


def considered(rows: Sequence[Row], selection: Selection) -> list[Row]:
    """Return the candidates that a selection looks at, those with a response only.

    With fewer `candidates` than there are, strategies take turns, lowest sample first.
    """
    wanted = selection.strategies
    chosen = [row for row in rows if wanted is None or row["strategy"] in wanted]
    if selection.candidates is not None:
        by_prompt: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(chosen, key=lambda row: row["sample"]):
            by_prompt[row["example"]].append(row)
        chosen = [row for found in by_prompt.values() for row in found[: selection.candidates]]
    return [row for row in chosen if row["response"]]


def select(rows: Sequence[Row], selection: Selection, seed: int) -> list[Row]:
    """Return the kept candidates, each with its "reward".

    The best candidate of each prompt is found first, then in each data set the best share
    `keep` of its prompts. Ties are broken by a seeded draw.
    """
    rng = random.Random(f"select-{seed}")
    rewards = [reward(row, selection.weights) for row in rows]
    if selection.rule == "shuffled":
        rng.shuffle(rewards)
    elif selection.rule in ("random", "gold"):
        rewards = [0.0] * len(rows)
    ranked = sorted(
        zip(rewards, (rng.random() for _ in rows), rows, strict=True),
        key=lambda entry: (-entry[0], entry[1]),
    )
    best: dict[str, dict[str, Row]] = defaultdict(dict)
    for value, _, row in ranked:
        best[row["dataset"]].setdefault(row["example"], {**row, "reward": value})
    return [
        row
        for name in sorted(best)
        for row in list(best[name].values())[: share_of(len(best[name]), selection.keep)]
    ]


def share_of(count: int, share: float) -> int:
    """Return `share` of `count`, rounded up; 0.07 of 100 is 7, whatever floats make of it."""
    return math.ceil(round(share * count, 6))


def selected_examples(
    prompts: Sequence[Example], rows: Sequence[Row], selection: Selection, seed: int
) -> list[Example]:
    """Return the training examples of a selection: prompts with the kept (or gold) responses."""
    examples = {example.id: example for example in prompts}
    kept = select(considered(rows, selection), selection, seed)
    if selection.rule == "gold":
        return [examples[row["example"]] for row in kept]
    return [replace(examples[row["example"]], response=row["response"]) for row in kept]
