"""Responses of a model to prompts: greedy for evaluation, sampled for ReSet's candidates."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reproduce.config import Decoding, Generation
from reproduce.determinism import named_seed
from reproduce.examples import Example
from reproduce.progress import told
from reproduce.training.encoding import prompt_ids

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GREEDY = Decoding(temperature=0)


def respond(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    decoding: Decoding,
    bounds: Generation,
    seed: int,
) -> list[list[str]]:
    """Return `decoding.samples` responses to each example, in the order of `examples`.

    Prompts of like kind and length are batched together; each batch draws from a stream of
    its own, so the same call gives the same responses.
    """
    import torch

    model.eval()
    prompts = [prompt_ids(tokenizer, example) for example in examples]
    found: list[list[str]] = [[] for _ in examples]
    per_batch = max(1, bounds.batch_size // decoding.samples)
    with torch.inference_mode():
        batches = list(_batches(examples, prompts, per_batch))
        for number, batch in enumerate(told(batches, "generation")):
            torch.manual_seed(named_seed(seed, number))
            texts = _sample(model, tokenizer, [prompts[i] for i in batch], decoding, bounds)
            for position, index in enumerate(batch):
                begin = position * decoding.samples
                found[index] = texts[begin : begin + decoding.samples]
    return found


def _batches(
    examples: Sequence[Example], prompts: Sequence[list[int]], size: int
) -> Iterator[list[int]]:
    # By kind of answer first: a batch runs until its longest response ends.
    order = sorted(range(len(prompts)), key=lambda i: (examples[i].dataset, len(prompts[i]), i))
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


def _sample(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[list[int]],
    decoding: Decoding,
    bounds: Generation,
) -> list[str]:
    padded = pad_left(prompts, int(tokenizer.pad_token_id or 0))
    input_ids, attention_mask = (tensor.to(model.device) for tensor in padded)
    cache = _read(model, input_ids, attention_mask, decoding.samples)
    output = model.generate(
        input_ids=input_ids.repeat_interleave(decoding.samples, 0),
        attention_mask=attention_mask.repeat_interleave(decoding.samples, 0),
        past_key_values=cache,
        max_new_tokens=bounds.max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **_options(decoding),
    )
    answers = output[:, input_ids.shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]


def _read(
    model: "PreTrainedModel", input_ids: "torch.Tensor", attention_mask: "torch.Tensor", count: int
) -> Any:
    """Return a cache for `generate`; where a prompt is sampled often, it is read only once."""
    from reproduce.kv_cache import growing_cache

    cache = growing_cache()
    if count > 1 and input_ids.shape[1] > 1:
        # All but the last token, with which `generate` begins.
        mask = attention_mask[:, :-1]
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        model(
            input_ids=input_ids[:, :-1], attention_mask=mask, position_ids=places,
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        cache.batch_repeat_interleave(count)
    return cache


def _options(decoding: Decoding) -> dict[str, Any]:
    if decoding.temperature == 0:
        return {"do_sample": False}
    return {
        "do_sample": True,
        "temperature": decoding.temperature,
        "top_k": decoding.top_k,
        "top_p": decoding.top_p,
    }


def pad_left(prompts: Sequence[list[int]], pad_id: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return (prompts, longest) tensors of ids and attention mask, padded on the left."""
    import torch

    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask
