"""The training of the span reader, on the side of the data that arms may train on.

It learns from questions with their answers, and from the questions of SQuAD 2.0 that the passage
does not answer: annotators marked the span that looks like an answer, so it is the likeliest one.
The model reads a passage once and weighs all its spans, right and wrong, against each other.
"""

import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from reproduce.data.datasets import file_rows, pinned_pools
from reproduce.download import fetch
from reproduce.judges.faithfulness import question_of
from reproduce.judges.nli import PAD_MULTIPLE
from reproduce.judges.reader import (
    FIELDS,
    FUNCTION_WORDS,
    MAX_SPAN,
    encode,
    load_span_model,
    span_scores,
)
from reproduce.models.pretrained import import_minilm
from reproduce.utils.files import atomic_path
from reproduce.utils.seeds import named_seed, set_determinism
from reproduce.validation.tuned import READER_WEIGHTS

THREADS = 2
"""Other numbers of threads round differently."""
SETS = ("squad", "adversarial-qa")


@dataclass(frozen=True)
class ReaderExample:
    """A question on a passage, and the texts of the passage that answer it."""

    question: str
    passage: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class ReaderTraining:
    """How a reader is tuned.

    Attributes:
        layers: the last layers of the encoder, which are tuned together with the head.
        windows: (tokens, steps) in turn: of each passage only so many tokens are read, around the
            answer. Short ones cost half, and are enough to learn what an answer is.
    """

    layers: int = 3
    windows: tuple[tuple[int, int], ...] = ((64, 450), (128, 250))
    batch_size: int = 16
    learning_rate: float = 3e-4
    head_rate: float = 1e-3
    warmup_steps: int = 30


def unanswerable(titles: set[str]) -> list[ReaderExample]:
    """Return SQuAD's unanswerable questions on these articles, each with its plausible answer."""
    rows = (row for row in file_rows(fetch("squad-dev")) if not isinstance(row, ValueError))
    return [
        ReaderExample(row["question"].strip(), row["context"].strip(), (answer["text"],))
        for row in rows
        if row["is_impossible"] and row["title"] in titles
        for answer in row.get("plausible_answers", [])[:1]
    ]


def train_judges(target: Path = READER_WEIGHTS) -> None:
    """Write the tuned tensors of the reader to `target`, trained on the pinned files.

    Of these only the examples that arms may train on are read. Raises UnusableFile for one that
    cannot be had.
    """
    pools, _ = pinned_pools({name: {} for name in SETS})
    training = {name: train for name, (train, _) in pools.items()}
    examples = [
        ReaderExample(question_of(e.prompt, e.context), e.context, e.references)
        for members in training.values()
        for e in members
    ]
    examples += unanswerable({example.split_group for example in training["squad"]})
    set_determinism(named_seed("reader"), THREADS)
    with tempfile.TemporaryDirectory() as folder:
        import_minilm(Path(folder))
        train_reader(Path(folder), examples, ReaderTraining(), target)


def train_reader(
    start: Path, examples: Sequence[ReaderExample], settings: ReaderTraining, target: Path
) -> None:
    """Write the tuned tensors of a reader to `target`; `start` holds the encoder.

    The loss is minus the log of the probability of all spans that answer the question. Examples
    whose answer the first window lacks are left out. The tensors are those that were trained, in
    fp16. Raises FloatingPointError if a loss is not finite.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(start, trust_remote_code=False)
    model = load_span_model(start)
    model.base_model.requires_grad_(False)
    model.base_model.encoder.layer[-settings.layers :].requires_grad_(True)
    model.train()
    rows = _rows(tokenizer, examples)
    rng = random.Random(named_seed("reader"))
    common = set(tokenizer(" ".join(FUNCTION_WORDS) + " .,:?!'#-")["input_ids"])
    stream = _batches(rows, settings.batch_size, rng)
    batches = [
        [_part(row, window, common, rng) for row in batch]
        for window, steps in settings.windows
        for batch in islice(stream, steps)
    ]
    head = [weight for name, weight in model.named_parameters() if name.startswith("qa_outputs")]
    body = [weight for weight in model.base_model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "lr": settings.learning_rate},
            {"params": head, "lr": settings.head_rate},
        ],
        weight_decay=0.01,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / settings.warmup_steps, 1 - step / len(batches)),
    )
    progress = tqdm(batches, desc="reader", disable=None)
    for batch in progress:
        tokens = tokenizer.pad(
            [{name: row[name] for name in FIELDS} for row in batch],
            pad_to_multiple_of=PAD_MULTIPLE,
            return_tensors="pt",
        )
        scores = span_scores(model, tokens).flatten(1)
        right = torch.zeros_like(scores, dtype=torch.bool)
        for number, row in enumerate(batch):
            right[number, [first * MAX_SPAN + last - first for first, last in row["spans"]]] = True
        loss = (scores.logsumexp(1) - scores.masked_fill(~right, -torch.inf).logsumexp(1)).mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"reader: the training loss is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*body, *head], 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.2f}")
    tensors = {
        name: weight.detach().to(torch.float16).contiguous()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }
    with atomic_path(target) as draft:
        save_file(tensors, draft, metadata={"format": "pt"})


def _rows(tokenizer: Any, examples: Sequence[ReaderExample]) -> list[dict[str, Any]]:
    """Return the tokens of the examples whose first window holds the answer, and its spans."""
    encoded = encode(tokenizer, [(e.question, e.passage) for e in examples])
    rows, previous = [], -1
    for number, origin in enumerate(encoded["overflow_to_sample_mapping"]):
        if origin != previous:
            ids, types = encoded["input_ids"][number], encoded["token_type_ids"][number]
            offsets = encoded["offset_mapping"][number]
            spans = _spans(examples[origin], types.index(1), offsets)
            if spans:
                rows.append({"input_ids": ids, "token_type_ids": types, "spans": spans})
        previous = origin
    return rows


def _spans(
    example: ReaderExample, begin: int, offsets: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the first and last token of each place that states an answer."""
    spans = set()
    for answer in example.answers:
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", example.passage):
            inside = [
                place
                for place, (start, end) in enumerate(offsets)
                if place >= begin and start < match.end() and end > match.start()
            ]
            if inside and inside[-1] - inside[0] < MAX_SPAN:
                spans.add((inside[0], inside[-1]))
    return sorted(spans)


def _batches(
    rows: Sequence[dict[str, Any]], size: int, rng: random.Random
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows again and again, in random batches of similar lengths."""
    while True:
        order = rng.sample(rows, len(rows))
        for start in range(0, len(order), 40 * size):
            near = sorted(order[start : start + 40 * size], key=lambda row: len(row["input_ids"]))
            batches = [near[n : n + size] for n in range(0, len(near), size)]
            yield from rng.sample(batches, len(batches))


def _part(row: dict[str, Any], window: int, common: set[int], rng: random.Random) -> dict[str, Any]:
    """Return the row with `window` tokens of its passage: an answer, and words of the question.

    Of six windows it is the one that shares most tokens with the question.
    """
    ids, types = row["input_ids"], row["token_type_ids"]
    begin, end = types.index(1), len(ids) - 1
    if end - begin <= window:
        return row
    question = set(ids[1 : begin - 1]) - common
    first, last = rng.choice(row["spans"])
    lowest, highest = sorted((max(begin, last - window + 1), min(first, end - window)))
    starts = [rng.randint(lowest, highest) for _ in range(6)]
    start = max(starts, key=lambda n: sum(token in question for token in ids[n : n + window]))
    shift = start - begin
    spans = [(a - shift, b - shift) for a, b in row["spans"] if a >= start and b < start + window]
    return {
        "input_ids": [*ids[:begin], *ids[start : start + window], ids[-1]],
        "token_type_ids": [*types[:begin], *[1] * (window + 1)],
        "spans": spans,
    }
