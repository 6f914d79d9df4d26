"""Rows and batches: only the response counts, every row once, rows of like length together."""

import itertools
import random
from typing import Any

import pytest

from reproduce.config import Training
from reproduce.models.tokenization import (
    IGNORED,
    encode_example,
    encode_text,
    pad_rows,
    prompt_ids,
)
from reproduce.schema import Example
from reproduce.training.sampler import length_batches, steps_in

Sets = dict[str, list[Example]]


def plain_row(tokenizer: Any, example: Example) -> tuple[list[int], list[int]]:
    """Return ids and labels token by token: the part before the answer has no label."""
    ids, labels = [], []
    pieces = [("<s><|user|>", 0), (example.prompt, 0), ("<|assistant|>", 0), (example.response, 1)]
    if example.raw:
        pieces = [("<s>", 0), (example.prompt, 0), (example.response, 1)]
    for piece, counts in [*pieces, ("</s>", 1)]:
        for token in tokenizer(piece, add_special_tokens=False)["input_ids"]:
            ids.append(token)
            labels.append(token if counts else IGNORED)
    return ids, labels


def test_the_loss_leaves_out_exactly_the_prompt(tokenizer: Any, training: Sets) -> None:
    for example in (e for found in training.values() for e in found):
        row = encode_example(tokenizer, example, 200)
        assert row and (row["input_ids"], row["labels"]) == plain_row(tokenizer, example)
        assert row["length"] == len(row["input_ids"])


def test_the_prompt_in_training_is_the_prompt_in_generation(tokenizer: Any, held_out: Sets) -> None:
    for example in (e for found in held_out.values() for e in found):
        row, prompt = encode_example(tokenizer, example, 200), prompt_ids(tokenizer, example)
        assert row and row["labels"].count(IGNORED) == len(prompt)
        assert row["input_ids"][: len(prompt)] == prompt
        answer = row["input_ids"][len(prompt) :]
        assert answer[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(answer[:-1]) == example.response


def test_a_raw_prompt_is_no_user_turn(tokenizer: Any, held_out: Sets) -> None:
    ids = prompt_ids(tokenizer, held_out["probe-copy"][0])
    assert ids[0] == tokenizer.bos_token_id
    assert not set(ids) & set(tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>"]))


def test_a_text_counts_whole(tokenizer: Any) -> None:
    row = encode_text(tokenizer, "The end.", 10)
    assert row["labels"] == row["input_ids"]
    assert row["input_ids"][0] == tokenizer.bos_token_id
    assert row["input_ids"][-1] == tokenizer.eos_token_id
    assert row["length"] == 5
    assert encode_text(tokenizer, "The end.", 3)["input_ids"] == row["input_ids"][:3]


def test_an_example_that_is_too_long_is_left_out(tokenizer: Any, training: Sets) -> None:
    example = training["qa-pair"][0]
    row = encode_example(tokenizer, example, 200)
    assert row
    assert encode_example(tokenizer, example, row["length"]) == row
    assert encode_example(tokenizer, example, row["length"] - 1) is None


def test_padding_is_on_the_right_and_counts_nowhere() -> None:
    rows = [
        {"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7], "length": 3},
        {"input_ids": [8], "labels": [8], "length": 1},
    ]
    batch = pad_rows(rows, 0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (8, 4), (203, 4), (450, 8), (7, 1)])
def test_batches_hold_every_row_once(count: int, size: int, rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(count)]
    assert sorted(length_batches(lengths, size, 1)) == list(range(count))


def test_batches_hold_rows_of_like_length(rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(400)]
    order = length_batches(lengths, 8, 1)
    batches = [[lengths[i] for i in order[b : b + 8]] for b in range(0, 400, 8)]
    assert all(max(batch) - min(batch) <= 15 for batch in batches)
    # Sorted, neighbours would never be far apart; shuffled, they are a third of the range.
    jumps = [abs(a[0] - b[0]) for a, b in itertools.pairwise(batches)]
    assert sum(jumps) / len(jumps) > 20


def test_only_the_last_batch_may_be_short(rng: random.Random) -> None:
    lengths = [rng.randrange(5, 120) for _ in range(405)]
    order = length_batches(lengths, 8, 1)
    batches = [[lengths[i] for i in order[b : b + 8]] for b in range(0, 400, 8)]
    assert sum(max(batch) - min(batch) for batch in batches) / 50 < 10


def test_rows_that_fill_no_batch_are_any_rows() -> None:
    # 3 rows of 43 come last: drawn alike they have the mean rank 21, and not always the longest.
    last = [i for seed in range(200) for i in length_batches(range(43), 8, seed)[40:]]
    assert 18 < sum(last) / len(last) < 24 and min(last) < 5 and max(last) > 37


def test_the_seed_decides_the_batches() -> None:
    lengths = list(range(40))
    assert length_batches(lengths, 4, 1) == length_batches(lengths, 4, 1)
    assert length_batches(lengths, 4, 1) != length_batches(lengths, 4, 2)
    assert length_batches([7] * 40, 4, 1) != length_batches([7] * 40, 4, 2)


@pytest.mark.parametrize(
    ("examples", "batch", "epochs", "expected"),
    [(16, 8, 1, 2), (17, 8, 1, 3), (17, 8, 2, 6), (17, 8, 0.5, 2), (1, 8, 0.1, 1), (8, 8, 3, 3)],
)
def test_steps(settings: Training, examples: int, batch: int, epochs: float, expected: int) -> None:
    changed = settings.model_copy(update={"batch_size": batch, "epochs": epochs})
    assert steps_in(examples, changed) == expected
