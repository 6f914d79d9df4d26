"""Text as token rows: what a model reads, and which of it counts in the loss."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reproduce.schema import Example

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that the loss leaves out (torch's cross entropy default)."""

Row = dict[str, Any]


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str, max_length: int) -> Row:
    """Return a pretraining row: every token of the text counts in the loss."""
    ids = [tokenizer.bos_token_id, *_ids(tokenizer, text), tokenizer.eos_token_id][:max_length]
    return _row(ids, ids)


def encode_example(
    tokenizer: "PreTrainedTokenizerBase", example: Example, max_length: int
) -> Row | None:
    """Return a fine-tuning row whose loss counts the response and its end only.

    None if the prompt leaves no room for the whole response in `max_length` tokens.
    """
    prompt = prompt_ids(tokenizer, example)
    response = [*_ids(tokenizer, example.response), tokenizer.eos_token_id]
    if len(prompt) + len(response) > max_length:
        return None
    return _row(prompt + response, [IGNORED] * len(prompt) + response)


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", example: Example) -> list[int]:
    """Return the tokens up to where the model speaks: a chat turn, or plain text if raw."""
    if example.raw:
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        return [*start, *_ids(tokenizer, example.prompt)]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": example.prompt}], tokenize=False, add_generation_prompt=True
    )
    return _ids(tokenizer, str(text))


def pad_rows(rows: Sequence[Row], pad_id: int) -> dict[str, "torch.Tensor"]:
    """Return (rows, longest) tensors input_ids, attention_mask and labels, padded on the right."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def padded(key: str, filler: int) -> "torch.Tensor":
        return torch.tensor([row[key] + [filler] * (longest - len(row[key])) for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    return {
        "input_ids": padded("input_ids", pad_id),
        "labels": padded("labels", IGNORED),
        "attention_mask": (torch.arange(longest) < lengths[:, None]).long(),
    }


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _row(input_ids: list[int], labels: list[int]) -> Row:
    return {"input_ids": input_ids, "labels": labels, "length": len(input_ids)}
