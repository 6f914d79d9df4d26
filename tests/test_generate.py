"""Generation: greedy against a plain loop, and the same call the same samples."""

from typing import Any

import pytest
import torch
from reproduce.generation.kv_cache import GrowingLayer

from reproduce.config import Decoding, Generation
from reproduce.generation.generate import GREEDY, Response, pad_left, respond
from reproduce.models.tokenization import prompt_ids
from reproduce.schema import Example
from reproduce.utils.seeds import named_seed

Sets = dict[str, list[Example]]
MOST = 8
BOUNDS = Generation(max_new_tokens=MOST, batch_size=8)
LONG = Generation(max_new_tokens=20, batch_size=64)
WARM = Decoding(temperature=1.0, samples=3)


@pytest.fixture
def examples(held_out: Sets) -> list[Example]:
    """Return prompts of all kinds and lengths, mixed."""
    return [found[i] for i in range(2) for found in held_out.values()]


def texts_of(found: list[list[Response]]) -> list[list[str]]:
    return [[one.text for one in drawn] for drawn in found]


def plain_greedy(model: Any, tokenizer: Any, example: Example) -> str:
    """Return the answer by one argmax at a time, without a cache and without a batch."""
    ids = prompt_ids(tokenizer, example)
    answer: list[int] = []
    with torch.no_grad():
        while len(answer) < MOST:
            scores = model(input_ids=torch.tensor([ids + answer]), use_cache=False).logits[0, -1]
            token = int(scores.argmax())
            if token == tokenizer.eos_token_id:
                break
            answer.append(token)
    return tokenizer.decode(answer, skip_special_tokens=True).strip()


def test_greedy_is_the_plain_loop(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    found = respond(sharp_model, tokenizer, examples, GREEDY, BOUNDS, 0)
    assert texts_of(found) == [[plain_greedy(sharp_model, tokenizer, e)] for e in examples]
    assert len({text for (text,) in texts_of(found)}) > 5


def test_an_answer_ends_at_its_end(
    sharp_model: Any, tokenizer: Any, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = respond(sharp_model, tokenizer, examples[:8], GREEDY, BOUNDS, 0)
    assert not any(one.ended for (one,) in whole)
    forward, steps = sharp_model.forward, []

    def ending(*args: Any, **kwargs: Any) -> Any:
        # The first call reads. After two tokens every other answer ends, after four the rest.
        output = forward(*args, **kwargs)
        steps.append(1)
        if len(steps) in (4, 6):
            output.logits[:: 2 if len(steps) == 4 else 1, -1, tokenizer.eos_token_id] = 1e6
        return output

    monkeypatch.setattr(sharp_model, "forward", ending)
    found = respond(sharp_model, tokenizer, examples[:8], GREEDY, BOUNDS, 0)
    assert len(steps) == 6 and all(one.ended for (one,) in found)
    lengths = [len(tokenizer(t.text, add_special_tokens=False)["input_ids"]) for (t,) in found]
    assert lengths.count(2) >= 3 and lengths.count(4) >= 3
    assert all(
        long.text.startswith(short.text) for (long,), (short,) in zip(whole, found, strict=True)
    )


@pytest.mark.parametrize("tokens", [1, 60, 150])
def test_prompts_that_are_read_some_at_a_time_are_read_alike(
    sharp_model: Any, tokenizer: Any, examples: list[Example], tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    expected = respond(sharp_model, tokenizer, examples, WARM, LONG, 0)
    monkeypatch.setattr("reproduce.generation.generate.READ_AT_ONCE", tokens)
    assert respond(sharp_model, tokenizer, examples, WARM, LONG, 0) == expected


@pytest.mark.parametrize("size", [1, 3, 100])
def test_greedy_does_not_depend_on_the_batch(
    sharp_model: Any, tokenizer: Any, examples: list[Example], size: int
) -> None:
    bounds = Generation(max_new_tokens=MOST, batch_size=size)
    expected = respond(sharp_model, tokenizer, examples, GREEDY, BOUNDS, 0)
    assert respond(sharp_model, tokenizer, examples, GREEDY, bounds, 1) == expected


def test_answers_come_in_the_order_of_the_examples(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    forwards = respond(sharp_model, tokenizer, examples, GREEDY, BOUNDS, 0)
    backwards = respond(sharp_model, tokenizer, examples[::-1], GREEDY, BOUNDS, 0)
    assert forwards == backwards[::-1]


def test_samples_depend_on_the_seed_only(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    one = respond(sharp_model, tokenizer, examples, WARM, BOUNDS, 1)
    torch.rand(7)
    assert respond(sharp_model, tokenizer, examples, WARM, BOUNDS, 1) == one
    assert respond(sharp_model, tokenizer, examples, WARM, BOUNDS, 2) != one


@pytest.mark.parametrize("samples", [1, 3, 20])
def test_every_example_has_its_samples(
    make_model: Any, tokenizer: Any, examples: list[Example], samples: int
) -> None:
    decoding = Decoding(temperature=1.0, samples=samples)
    bounds = Generation(max_new_tokens=5, batch_size=8)
    found = respond(make_model(), tokenizer, examples[:5], decoding, bounds, 0)
    assert [len(texts) for texts in found] == [samples] * 5
    # An untrained model draws from some hundred words alike, so no two answers are the same.
    texts = [text for drawn in texts_of(found) for text in drawn]
    assert len(set(texts)) == len(texts)
    assert all(text == text.strip() for text in texts)


def test_samples_of_an_example_are_its_own(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    # At a temperature of nearly 0 every sample is the greedy answer of the same prompt.
    cold = Decoding(temperature=1e-3, samples=3)
    greedy = respond(sharp_model, tokenizer, examples, GREEDY, BOUNDS, 0)
    found = respond(sharp_model, tokenizer, examples, cold, BOUNDS, 0)
    assert found == [texts * 3 for texts in greedy]


@pytest.mark.parametrize("decoding", [{"top_k": 1}, {"top_p": 1e-6}])
def test_the_narrowest_cut_is_greedy(
    sharp_model: Any, tokenizer: Any, examples: list[Example], decoding: dict[str, float]
) -> None:
    narrow = Decoding(temperature=1.0, **decoding)
    greedy = respond(sharp_model, tokenizer, examples, GREEDY, BOUNDS, 0)
    assert respond(sharp_model, tokenizer, examples, narrow, BOUNDS, 0) == greedy


def test_the_defaults_cut_nothing(make_model: Any, tokenizer: Any, examples: list[Example]) -> None:
    # The library's own default would keep the 50 best tokens only.
    decoding = Decoding(temperature=1.0, samples=2000)
    bounds = Generation(max_new_tokens=1, batch_size=2000)
    (texts,) = respond(make_model(), tokenizer, examples[:1], decoding, bounds, 0)
    assert len(set(texts)) > 100


def test_the_model_is_in_evaluation_mode_and_the_caller_keeps_order(
    make_model: Any, tokenizer: Any
) -> None:
    model = make_model().train()
    assert respond(model, tokenizer, [], GREEDY, BOUNDS, 0) == []
    assert not model.training


def generated(
    model: Any, tokenizer: Any, examples: list[Example], decoding: Decoding, seed: int
) -> list[list[Response]]:
    """Return what `generate` of transformers gives for one batch."""
    ids, mask = pad_left([prompt_ids(tokenizer, e) for e in examples], tokenizer.pad_token_id)
    sampled = {"temperature": decoding.temperature, "top_k": decoding.top_k,
               "top_p": decoding.top_p} if decoding.temperature else {}  # fmt: skip
    torch.manual_seed(named_seed(seed, 0))
    output = model.generate(
        input_ids=ids.repeat_interleave(decoding.samples, 0),
        attention_mask=mask.repeat_interleave(decoding.samples, 0),
        max_new_tokens=LONG.max_new_tokens, do_sample=bool(sampled), **sampled,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    answers = output[:, ids.shape[1] :]
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    ended = (answers == tokenizer.eos_token_id).any(1).tolist()
    found = [Response(text.strip(), end) for text, end in zip(texts, ended, strict=True)]
    return [
        found[begin : begin + decoding.samples] for begin in range(0, len(found), decoding.samples)
    ]


@pytest.mark.parametrize(
    ("decoding", "more"),
    [
        (GREEDY, 2.0),
        (Decoding(temperature=1.0, samples=3), 4.0),
        (Decoding(temperature=0.7, samples=4), 4.0),
        (Decoding(temperature=1.0, top_k=20, samples=2), 4.0),
        (Decoding(temperature=1.3, top_p=0.9, samples=1), 4.0),
    ],
    ids=str,
)
def test_a_batch_is_what_the_library_generates(
    sharp_model: Any, tokenizer: Any, examples: list[Example], decoding: Decoding, more: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Answers end at any step, one or several at once.
    forward = sharp_model.forward

    def ending(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits[:, -1, tokenizer.eos_token_id] += more
        return output

    monkeypatch.setattr(sharp_model, "forward", ending)
    alike = sorted(examples, key=lambda e: (e.dataset, len(prompt_ids(tokenizer, e))))[:12]
    if decoding is GREEDY:
        alike.sort(key=lambda e: len(prompt_ids(tokenizer, e)))
    found = respond(sharp_model, tokenizer, alike, decoding, LONG, 5)
    assert found == generated(sharp_model, tokenizer, alike, decoding, 5)
    lengths = {len(tokenizer(text)["input_ids"]) for texts in texts_of(found) for text in texts}
    assert len(lengths) > 3


def test_padding_is_on_the_left() -> None:
    ids, mask = pad_left([[5, 6, 7], [8]], 0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_prompt_that_is_read_once_gives_what_the_plain_loop_gives(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    surest = Decoding(temperature=1.0, top_k=1, samples=3)
    found = respond(sharp_model, tokenizer, examples, surest, BOUNDS, 0)
    assert texts_of(found) == [[plain_greedy(sharp_model, tokenizer, e)] * 3 for e in examples]


def test_the_growing_cache_holds_what_a_plain_one_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.cache_utils import DynamicLayer

    monkeypatch.setattr("reproduce.generation.kv_cache.ROOM", 2)
    growing, plain = GrowingLayer(), DynamicLayer()
    rows = 2
    for number, tokens in enumerate((5, 1, 1, 1, 1, 2, 1)):
        if number == 3:
            growing.batch_repeat_interleave(3)
            plain.batch_repeat_interleave(3)
            rows = 6
        states = torch.randn(rows, 2, tokens, 4), torch.randn(rows, 2, tokens, 4)
        for ours, theirs in zip(growing.update(*states), plain.update(*states), strict=True):
            assert torch.equal(ours, theirs)
        assert growing.get_seq_length() == plain.get_seq_length()
