"""Responses of a model to prompts: greedy for evaluation, sampled for ReSet's candidates."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from reproduce.config import Decoding, Generation
from reproduce.models.tokenization import prompt_ids
from reproduce.schema import Example
from reproduce.utils.determinism import named_seed
from reproduce.utils.progress import told

if TYPE_CHECKING:
    import torch
    from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase
    from transformers.cache_utils import Cache

GREEDY = Decoding(temperature=0)
WORTH_LEAVING = 0.25
"""Share of a batch's rows that must have ended before it goes on without them, which copies the
cache."""

READ_AT_ONCE = 4096
"""Tokens of prompts, padding included, that are read together."""


class Response(NamedTuple):
    """What a model said, without outer space, and whether it ended by itself.

    Else the limit on new tokens cut it off.
    """

    text: str
    ended: bool


def respond(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    decoding: Decoding,
    bounds: Generation,
    seed: int,
) -> list[list[Response]]:
    """Return `decoding.samples` responses to each example, in the order of `examples`.

    The same tokens as `generate` of transformers gives for the same batch and seed, but a prompt is
    read once for all its samples, and a row that has ended takes no more time. Each batch draws
    from a stream of its own, so the same call gives the same responses.
    """
    import torch

    model.eval()
    prompts = [prompt_ids(tokenizer, example) for example in examples]
    found: list[list[Response]] = [[] for _ in examples]
    per_batch = max(1, bounds.batch_size // decoding.samples)
    with torch.inference_mode():
        batches = list(_batches(examples, prompts, decoding, per_batch))
        for number, batch in enumerate(told(batches, "generation")):
            torch.manual_seed(named_seed(seed, number))
            drawn = _sample(model, tokenizer, [prompts[i] for i in batch], decoding, bounds)
            for position, index in enumerate(batch):
                begin = position * decoding.samples
                found[index] = drawn[begin : begin + decoding.samples]
    return found


def _batches(
    examples: Sequence[Example], prompts: Sequence[list[int]], decoding: Decoding, size: int
) -> Iterator[list[int]]:
    # Of like length. What is drawn depends on which prompts share a batch, so samples come data
    # set by data set: what one offers then hardly moves what is drawn for another.
    sets = [example.dataset if decoding.temperature else "" for example in examples]
    order = sorted(range(len(prompts)), key=lambda i: (sets[i], len(prompts[i]), i))
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


def _sample(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[list[int]],
    decoding: Decoding,
    bounds: Generation,
) -> list[Response]:
    import torch

    pad, end = int(tokenizer.pad_token_id or 0), tokenizer.eos_token_id
    ids, mask = (tensor.to(model.device) for tensor in pad_left(prompts, pad))
    cache = _read(model, ids[:, :-1], mask[:, :-1])
    if decoding.samples > 1:
        cache.batch_repeat_interleave(decoding.samples)
    ids, mask = (tensor.repeat_interleave(decoding.samples, 0) for tensor in (ids, mask))
    answers = ids.new_full((len(ids), bounds.max_new_tokens), pad)
    rows = torch.arange(len(ids), device=ids.device)
    ended = torch.zeros_like(rows, dtype=torch.bool)
    whole = torch.zeros_like(ended)
    for step in range(bounds.max_new_tokens):
        scores = _scores(model, ids, mask, cache)
        tokens = _chosen(scores, decoding, rows, len(answers)).masked_fill(ended, pad)
        answers[rows, step] = tokens
        ended |= tokens == end
        whole[rows] = ended
        if ended.all():
            break
        ids, mask = tokens[:, None], torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        if ended.float().mean() >= WORTH_LEAVING:
            open_ = (~ended).nonzero()[:, 0]
            cache.batch_select_indices(open_)
            ids, mask, rows, ended = (each[open_] for each in (ids, mask, rows, ended))
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [Response(t.strip(), w) for t, w in zip(texts, whole.tolist(), strict=True)]


def _read(model: "PreTrainedModel", ids: "torch.Tensor", mask: "torch.Tensor") -> "Cache":
    """Return a cache that knows the tokens: those of a prompt but its last, where answering begins.

    Some rows at a time: what all of them need at once is more than a processor's own memory holds.
    """
    from reproduce.generation.kv_cache import growing_cache, joined

    rows = max(1, READ_AT_ONCE // max(1, ids.shape[1]))
    parts = []
    for begin in range(0, len(ids), rows):
        parts.append(growing_cache())
        if ids.shape[1]:
            some = slice(begin, begin + rows)
            _scores(model, ids[some], mask[some], parts[-1])
    return joined(parts)


def _scores(
    model: "PreTrainedModel", ids: "torch.Tensor", mask: "torch.Tensor", cache: "Cache"
) -> "torch.Tensor":
    """Return the (rows, vocabulary) scores of the next token, in fp32; `cache` learns the tokens.

    `mask` (rows, tokens) is of all tokens; of `ids`, the last that `cache` does not know are read.
    """
    known = cache.get_seq_length()
    places = (mask.cumsum(-1) - 1).clamp(min=0)[:, known:]
    found = model(
        input_ids=ids[:, known - mask.shape[1] :], attention_mask=mask, position_ids=places,
        past_key_values=cache, use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    return found.logits[:, -1].float()


def _chosen(
    scores: "torch.Tensor", decoding: Decoding, rows: "torch.Tensor", count: int
) -> "torch.Tensor":
    """Return a token for each row: the best, or one drawn as torch.multinomial draws it.

    `rows` are those of `count` that are still open. The noise is drawn for all, so that what one
    row draws does not depend on which others have ended.
    """
    if decoding.temperature == 0:
        return scores.argmax(-1)
    noise = scores.new_empty(count, scores.shape[1]).exponential_()
    for warp in _warpers(decoding):
        scores = warp(None, scores)
    return (scores.softmax(-1) / noise[rows]).argmax(-1)


def _warpers(decoding: Decoding) -> list["LogitsProcessor"]:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    found: list[LogitsProcessor] = [TemperatureLogitsWarper(decoding.temperature)]
    if decoding.top_k:
        found.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        found.append(TopPLogitsWarper(decoding.top_p))
    return found


def pad_left(prompts: Sequence[list[int]], pad_id: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return (prompts, longest) tensors of ids and attention mask, padded on the left."""
    import torch

    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask
