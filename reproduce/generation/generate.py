"""Responses of a model to prompts: greedy for evaluation, sampled for ReSet's candidates."""

import itertools
from collections.abc import Collection, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import (
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from reproduce.config import Decoding, Generation
from reproduce.models.tokenization import end_ids, prompt_ids
from reproduce.schema import Example, Response
from reproduce.utils.seeds import named_seed

GREEDY = Decoding(temperature=0)
DROP_FINISHED = 0.25
"""Share of a batch's rows that must be finished before they are dropped, which copies the cache."""


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    decoding: Decoding,
    bounds: Generation,
    seed: int,
) -> list[list[Response]]:
    """Return `decoding.samples` responses per example, in the order of `examples`.

    The tokens are those that `generate` of transformers gives for the same batch and seed, but a
    prompt is read once for all its samples, and a finished row takes no more time. Each batch draws
    from its own random stream, so the same call gives the same responses.
    """
    model.eval()
    ends = end_ids(tokenizer, model.config, model.generation_config)
    prompts = [prompt_ids(tokenizer, example) for example in examples]
    # Batches hold prompts of like length. What is drawn depends on which prompts share a batch, so
    # samples are drawn data set by data set: each set then hardly depends on the others.
    sets = [example.dataset if decoding.temperature else "" for example in examples]
    order = sorted(range(len(prompts)), key=lambda i: (sets[i], len(prompts[i]), i))
    size = max(1, bounds.batch_size // decoding.samples)
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    responses: list[list[Response]] = [[] for _ in examples]
    with torch.inference_mode():
        for number, batch in enumerate(tqdm(batches, "generation", disable=None)):
            torch.manual_seed(named_seed(seed, number))
            samples = _generate_batch(
                model, tokenizer, [prompts[i] for i in batch], decoding, bounds.max_new_tokens, ends
            )
            for position, index in enumerate(batch):
                begin = position * decoding.samples
                responses[index] = samples[begin : begin + decoding.samples]
    return responses


def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    max_new_tokens: int,
    ends: Collection[int],
) -> list[Response]:
    """Return the samples of the first prompt, then those of the second, and so on."""
    pad = tokenizer.pad_token_id or 0
    ids, mask = (tensor.to(model.device) for tensor in pad_left(prompts, pad))
    end_tokens = torch.tensor(sorted(ends), device=ids.device)
    # Everything but the last token of each prompt is read once for all its samples.
    cache = DynamicCache()
    if ids.shape[1] > 1:
        next_logits(model, ids[:, :-1], mask[:, :-1], cache)
    if decoding.samples > 1:
        cache.batch_repeat_interleave(decoding.samples)
    ids, mask = (tensor.repeat_interleave(decoding.samples, 0) for tensor in (ids, mask))
    answers = ids.new_full((len(ids), max_new_tokens), pad)
    finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    rows = torch.arange(len(ids), device=ids.device)  # Those that are still in the batch.
    for step in range(max_new_tokens):
        logits = next_logits(model, ids, mask, cache)
        tokens = _next_tokens(logits, decoding, rows, len(answers))
        tokens = tokens.masked_fill(finished[rows], pad)
        answers[rows, step] = tokens
        finished[rows] |= torch.isin(tokens, end_tokens)
        if finished.all():
            break
        ids, mask = tokens[:, None], torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        if finished[rows].float().mean() >= DROP_FINISHED:
            unfinished = (~finished[rows]).nonzero()[:, 0]
            cache.batch_select_indices(unfinished)
            ids, mask, rows = (tensor[unfinished] for tensor in (ids, mask, rows))
    # Not every token that ends a turn is a special one, which decoding would leave out.
    kept = [list(itertools.takewhile(lambda t: t not in ends, row)) for row in answers.tolist()]
    texts = tokenizer.batch_decode(kept, skip_special_tokens=True)
    return [Response(t.strip(), f) for t, f in zip(texts, finished.tolist(), strict=True)]


def pad_left(prompts: Sequence[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (prompts, longest) tensors of ids and attention mask, padded on the left."""

    def padded(sequences: Sequence[list[int]], value: int) -> torch.Tensor:
        return pad_sequence([torch.tensor(s) for s in sequences], True, value, "left")

    return padded(prompts, pad_id), padded([[1] * len(prompt) for prompt in prompts], 0)


def next_logits(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache
) -> torch.Tensor:
    """Return the (rows, vocabulary) logits of the next token, in fp32, and extend the cache.

    `mask` (rows, tokens) covers all tokens; of `ids`, those that the cache does not have are read.
    """
    known = cache.get_seq_length()
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, known:]
    output = model(
        input_ids=ids[:, known - mask.shape[1] :], attention_mask=mask, position_ids=positions,
        past_key_values=cache, use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    return output.logits[:, -1].float()


def _next_tokens(
    logits: torch.Tensor, decoding: Decoding, rows: torch.Tensor, count: int
) -> torch.Tensor:
    """Return a token per row: the best, or one drawn as torch.multinomial draws it.

    The noise is drawn for all `count` rows of the batch, so that what one row draws does not
    depend on which others are finished.
    """
    if decoding.temperature == 0:
        return logits.argmax(-1)
    noise = logits.new_empty(count, logits.shape[1]).exponential_()
    logits = TemperatureLogitsWarper(decoding.temperature)(None, logits)
    if decoding.top_k:
        logits = TopKLogitsWarper(decoding.top_k)(None, logits)
    if decoding.top_p < 1:
        logits = TopPLogitsWarper(decoding.top_p)(None, logits)
    return (logits.softmax(-1) / noise[rows]).argmax(-1)
