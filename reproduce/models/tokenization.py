"""Text as token rows: what a model reads, and which of its tokens count in the loss."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

from reproduce.schema import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that does not count in the loss (torch's cross entropy default)."""
PLACEHOLDER = "\ue000"
"""Stands for a message while its template is rendered; no text has this private character."""


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
    """Return a fine-tuning row whose loss counts only the response and what ends it.

    None if prompt and response do not fit into `max_length` tokens.
    """
    prompt = prompt_ids(tokenizer, example)
    response = [*_ids(tokenizer, example.response), *turn_end(tokenizer)]
    if len(prompt) + len(response) > max_length:
        return None
    return {"input_ids": prompt + response, "labels": [IGNORED] * len(prompt) + response}


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", example: Example) -> list[int]:
    """Return the tokens before the response: a user turn, or plain text to be completed.

    Special tokens that the prompt spells out stay text, so that it cannot forge a turn.
    """
    if example.is_completion:
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        return [*start, *_ids(tokenizer, example.prompt)]
    if not any(token in example.prompt for token in _added_tokens(tokenizer)):
        return _control_ids(tokenizer, render_chat(tokenizer, example.prompt))
    # Only here is the prompt apart from its template: at the seams tokens may differ.
    before, after = render_chat(tokenizer, PLACEHOLDER).split(PLACEHOLDER)
    prompt = _ids(tokenizer, example.prompt)
    return [*_control_ids(tokenizer, before), *prompt, *_control_ids(tokenizer, after)]


@lru_cache(maxsize=4)
def _added_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    return tuple(str(token) for token in tokenizer.added_tokens_decoder.values())


@lru_cache(maxsize=4)
def turn_end(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the tokens that end a response: what the chat template writes after it.

    That is up to the first special token, or the tokenizer's end token where there is none. It
    differs between families: Gemma's is <end_of_turn>, LLaMA 3's <|eot_id|>. Raises ValueError
    where a response has no end.
    """
    after = render_chat(tokenizer, "Hello", PLACEHOLDER).rpartition(PLACEHOLDER)[2]
    ids = _control_ids(tokenizer, after)
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = (special | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}
    for position, number in enumerate(ids):
        if number in special:
            return ids[: position + 1]
    if tokenizer.eos_token_id is None:
        raise ValueError("neither the chat template nor the tokenizer has a token that ends a turn")
    return [tokenizer.eos_token_id]


def end_ids(tokenizer: "PreTrainedTokenizerBase", *configs: Any) -> set[int]:
    """Return the tokens that end a response: the chat template's and all that the model names.

    `configs` are the model's configuration and its generation configuration.
    """
    named = [tokenizer.eos_token_id]
    for config in configs:
        ids = getattr(config, "eos_token_id", None)
        named += ids if isinstance(ids, list) else [ids]
    return {turn_end(tokenizer)[-1], *(number for number in named if number is not None)}


def render_chat(
    tokenizer: "PreTrainedTokenizerBase", prompt: str, response: str | None = None
) -> str:
    """Return a user turn in the chat template, and the response or what introduces it."""
    messages = [{"role": "user", "content": prompt}]
    if response is not None:
        messages.append({"role": "assistant", "content": response})
    # Templates that know a mode for reasoning are asked for answers without.
    return str(tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=response is None, enable_thinking=False
    ))  # fmt: skip


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Return the tokens of a text; special tokens that it spells out are text, too."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _control_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
