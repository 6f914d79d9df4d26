"""Text as token rows: what a model reads, and which of its tokens count in the loss."""

from typing import TYPE_CHECKING, TypedDict

from reproduce.schema import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that does not count in the loss (torch's cross entropy default)."""


class TokenRow(TypedDict):
    """One text to train on: its tokens, and for each the same token or IGNORED."""

    input_ids: list[int]
    labels: list[int]


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str, max_length: int) -> TokenRow:
    """Return a pretraining row: every token of the text counts in the loss."""
    ids = [tokenizer.bos_token_id, *_ids(tokenizer, text), tokenizer.eos_token_id][:max_length]
    return {"input_ids": ids, "labels": ids}


def encode_example(
    tokenizer: "PreTrainedTokenizerBase", example: Example, max_length: int
) -> TokenRow | None:
    """Return a fine-tuning row whose loss counts only the response and its end.

    None if prompt and response do not fit into `max_length` tokens.
    """
    prompt = prompt_ids(tokenizer, example)
    response = [*_ids(tokenizer, example.response), tokenizer.eos_token_id]
    if len(prompt) + len(response) > max_length:
        return None
    return {"input_ids": prompt + response, "labels": [IGNORED] * len(prompt) + response}


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", example: Example) -> list[int]:
    """Return the tokens before the response: a user turn, or plain text to be completed."""
    if example.is_completion:
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        return [*start, *_ids(tokenizer, example.prompt)]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": example.prompt}], tokenize=False, add_generation_prompt=True
    )
    return _ids(tokenizer, str(text))


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
