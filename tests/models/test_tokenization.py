"""Token rows: only the response counts in the loss, and prompts are those of generation."""

from typing import Any

from reproduce.models.tokenization import IGNORED, encode_example, encode_text, prompt_ids
from reproduce.schema import Example, Sets


def plain_row(tokenizer: Any, example: Example) -> tuple[list[int], list[int]]:
    """Return ids and labels token by token: the part before the response has no label."""
    ids, labels = [], []
    pieces = [("<s><|user|>", 0), (example.prompt, 0), ("<|assistant|>", 0), (example.response, 1)]
    if example.is_completion:
        pieces = [("<s>", 0), (example.prompt, 0), (example.response, 1)]
    for piece, counts in [*pieces, ("</s>", 1)]:
        for token in tokenizer(piece, add_special_tokens=False)["input_ids"]:
            ids.append(token)
            labels.append(token if counts else IGNORED)
    return ids, labels


def test_the_loss_leaves_out_exactly_the_prompt(tokenizer: Any, training: Sets, held_out: Sets):
    for example in (e for sets in (training, held_out) for s in sets.values() for e in s):
        row = encode_example(tokenizer, example, 200)
        assert row and (row["input_ids"], row["labels"]) == plain_row(tokenizer, example)


def test_the_prompt_in_training_is_the_prompt_in_generation(tokenizer: Any, held_out: Sets) -> None:
    for example in (e for examples in held_out.values() for e in examples):
        row, prompt = encode_example(tokenizer, example, 200), prompt_ids(tokenizer, example)
        assert row and row["labels"].count(IGNORED) == len(prompt)
        assert row["input_ids"][: len(prompt)] == prompt
        response = row["input_ids"][len(prompt) :]
        assert response[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(response[:-1]) == example.response


def test_all_of_a_text_counts(tokenizer: Any) -> None:
    row = encode_text(tokenizer, "The end.", 10)
    assert row["labels"] == row["input_ids"] and len(row["input_ids"]) == 5
    assert row["input_ids"][0] == tokenizer.bos_token_id
    assert row["input_ids"][-1] == tokenizer.eos_token_id
    assert encode_text(tokenizer, "The end.", 3)["input_ids"] == row["input_ids"][:3]


def test_an_example_that_is_too_long_is_left_out(tokenizer: Any, training: Sets) -> None:
    example = training["qa-pair"][0]
    row = encode_example(tokenizer, example, 200)
    assert row
    length = len(row["input_ids"])
    assert encode_example(tokenizer, example, length) == row
    assert encode_example(tokenizer, example, length - 1) is None
