"""Checks of an imported model, so that what does not fit is named before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from reproduce.config import Params
from reproduce.generation.generate import next_logits, pad_left
from reproduce.models.load import load_tokenizer
from reproduce.models.tokenization import encode_example, prompt_ids, render_chat, turn_end
from reproduce.schema import Example
from reproduce.training.trainer import pad_rows
from reproduce.utils.files import UnusableFile

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EXAMPLES = [
    Example("check", "instruction", "Who keeps bees?", "Mara does."),
    Example("check", "instruction", "Name the capital of France, and say why.", "Paris, I think."),
]


def check_model(folder: Path, params: Params, title: str) -> None:
    """Raise UnusableFile, with `title`, where the model in `folder` cannot be used.

    Tokens must fit the embedding, a response have an end, prompt and response fit the positions,
    and the chat template hold the messages. Its loss and its logits, as the study computes them,
    must be the model's own.
    """
    tokenizer = load_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", use_safetensors=True, trust_remote_code=False
    )
    try:
        problem = (
            _fits(model, tokenizer, params)
            or _template(tokenizer)
            or _computes(model.eval(), tokenizer)
        )
    except Exception as error:  # What an unsuitable architecture raises is up to it.
        problem = f"it cannot be trained or generate here: {type(error).__name__}: {error}"
    if problem:
        raise UnusableFile(f"{title} ({type(model).__name__}): {problem}")


def _fits(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", params: Params
) -> str | None:
    """Return what of tokens and positions does not fit."""
    highest, rows = max(tokenizer.get_vocab().values()), model.get_input_embeddings().num_embeddings
    if highest >= rows:
        token = tokenizer.convert_ids_to_tokens(highest)
        return f"the tokenizer has token {highest} ({token!r}), but the embedding only {rows} rows"
    positions = getattr(model.config, "max_position_embeddings", None)
    longest, new = params.training.max_length, params.generation.max_new_tokens
    if positions and longest + new > positions:
        return (
            f"training.max_length {longest} and generation.max_new_tokens {new} need "
            f"{longest + new} positions, but the model has {positions}"
        )
    return None


def _template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return what is wrong with the chat template, or with the end of a response."""
    question, answer = EXAMPLES[0].prompt, EXAMPLES[0].response
    try:
        prompt, conversation = (render_chat(tokenizer, question, r) for r in (None, answer))
        turn_end(tokenizer)
    except Exception as error:  # Templates are programs of others.
        return f"its chat template fails: {error}"
    if prompt.count(question) != 1 or not all(t in conversation for t in (question, answer)):
        return f"its chat template leaves out or repeats messages; a prompt becomes {prompt!r}"
    return None


@torch.inference_mode()
def _computes(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return what the study's training or generation would compute wrongly."""
    # Rounding depends on padding, in half precision to some per cent of the logits' range.
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.05
    rows = [row for e in EXAMPLES if (row := encode_example(tokenizer, e, 10_000))]
    batch = pad_rows(rows, tokenizer.pad_token_id or 0)
    plain = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    losses = [float(model(**inputs).loss) for inputs in (plain, batch)]
    if not abs(losses[0] - losses[1]) <= tolerance * abs(losses[0]):
        return f"its loss is {losses[0]:.4f}, but {losses[1]:.4f} as training computes it"
    prompts = [prompt_ids(tokenizer, example) for example in EXAMPLES]
    ids, mask = pad_left(prompts, tokenizer.pad_token_id or 0)
    cache = DynamicCache()
    next_logits(model, ids[:, :-1], mask[:, :-1], cache)
    tokens = next_logits(model, ids, mask, cache).argmax(-1)
    longer = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
    for row, prompt, token in zip(
        next_logits(model, tokens[:, None], longer, cache), prompts, tokens.tolist(), strict=True
    ):
        alone = model(input_ids=torch.tensor([[*prompt, token]])).logits[0, -1].float()
        if not (row - alone).abs().max() <= tolerance * (alone.max() - alone.min()):
            return "it does not generate with padding and a key-value cache as without"
    return None
