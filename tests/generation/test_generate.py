"""Generation: greedy against a plain loop, samples against `generate` of transformers."""

from typing import Any

import pytest
import torch

from reproduce.config import Decoding, Generation
from reproduce.generation.generate import GREEDY, generate, pad_left
from reproduce.models.tokenization import prompt_ids
from reproduce.schema import Example, Response, Sets
from reproduce.utils.seeds import named_seed

SHORT = Generation(max_new_tokens=8, batch_size=8)
LONG = Generation(max_new_tokens=20, batch_size=64)
WARM = Decoding(temperature=1.0, samples=3)


@pytest.fixture
def examples(held_out: Sets) -> list[Example]:
    """Return prompts of all kinds and lengths, mixed."""
    return [of_set[i] for i in range(2) for of_set in held_out.values()]


def texts_of(responses: list[list[Response]]) -> list[list[str]]:
    return [[sample.text for sample in samples] for samples in responses]


def plain_greedy(model: Any, tokenizer: Any, example: Example) -> str:
    """Return the response by one argmax at a time, without a cache and without a batch."""
    ids = prompt_ids(tokenizer, example)
    answer: list[int] = []
    with torch.no_grad():
        while len(answer) < SHORT.max_new_tokens:
            logits = model(input_ids=torch.tensor([ids + answer]), use_cache=False).logits[0, -1]
            token = int(logits.argmax())
            if token == tokenizer.eos_token_id:
                break
            answer.append(token)
    return tokenizer.decode(answer, skip_special_tokens=True).strip()


def test_greedy_is_the_plain_loop(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    expected = [[plain_greedy(sharp_model, tokenizer, e)] for e in examples]
    assert len({text for (text,) in expected}) > 5
    for size in (1, 3, 100):  # It depends neither on the batch nor on the seed.
        bounds = SHORT.model_copy(update={"batch_size": size})
        responses = generate(sharp_model, tokenizer, examples, GREEDY, bounds, size)
        assert texts_of(responses) == expected
    assert generate(sharp_model, tokenizer, [], GREEDY, SHORT, 0) == []


def test_a_prompt_that_is_read_once_gives_what_the_plain_loop_gives(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    expected = [[plain_greedy(sharp_model, tokenizer, e)] * 3 for e in examples]
    # Each of these leaves the best token alone.
    for cut in ({"temperature": 1e-3}, {"temperature": 1.0, "top_k": 1},
                {"temperature": 1.0, "top_p": 1e-6}):  # fmt: skip
        decoding = Decoding(samples=3, **cut)
        responses = generate(sharp_model, tokenizer, examples, decoding, SHORT, 0)
        assert texts_of(responses) == expected


def test_a_finished_response_ends_at_its_end(
    sharp_model: Any, tokenizer: Any, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = generate(sharp_model, tokenizer, examples[:8], GREEDY, SHORT, 0)
    assert not any(response.finished for (response,) in whole)
    forward, steps = sharp_model.forward, []

    def ending(*args: Any, **kwargs: Any) -> Any:
        # The first call reads. After two tokens every other response ends, after four the rest.
        output = forward(*args, **kwargs)
        steps.append(1)
        if len(steps) in (4, 6):
            output.logits[:: 2 if len(steps) == 4 else 1, -1, tokenizer.eos_token_id] = 1e6
        return output

    monkeypatch.setattr(sharp_model, "forward", ending)
    cut = generate(sharp_model, tokenizer, examples[:8], GREEDY, SHORT, 0)
    assert len(steps) == 6 and all(response.finished for (response,) in cut)
    lengths = [len(tokenizer(r.text, add_special_tokens=False)["input_ids"]) for (r,) in cut]
    assert lengths.count(2) >= 3 and lengths.count(4) >= 3
    pairs = zip(whole, cut, strict=True)
    assert all(long.text.startswith(short.text) for (long,), (short,) in pairs)


def test_samples_depend_on_the_seed_only(
    sharp_model: Any, tokenizer: Any, examples: list[Example]
) -> None:
    one = generate(sharp_model, tokenizer, examples, WARM, SHORT, 1)
    torch.rand(7)
    assert generate(sharp_model, tokenizer, examples, WARM, SHORT, 1) == one
    assert generate(sharp_model, tokenizer, examples, WARM, SHORT, 2) != one


@pytest.mark.parametrize("samples", [1, 3, 20])
def test_every_example_has_its_samples(
    make_model: Any, tokenizer: Any, examples: list[Example], samples: int
) -> None:
    decoding = Decoding(temperature=1.0, samples=samples)
    bounds = Generation(max_new_tokens=5, batch_size=8)
    responses = generate(make_model(), tokenizer, examples[:5], decoding, bounds, 0)
    assert [len(samples_of) for samples_of in responses] == [samples] * 5
    # An untrained model draws from some hundred words alike, so no two responses are the same.
    texts = [text for samples_of in texts_of(responses) for text in samples_of]
    assert len(set(texts)) == len(texts)
    assert all(text == text.strip() for text in texts)


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
    ends = (answers == tokenizer.eos_token_id).any(1).tolist()
    flat = [Response(text.strip(), end) for text, end in zip(texts, ends, strict=True)]
    return [flat[i : i + decoding.samples] for i in range(0, len(flat), decoding.samples)]


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
    # Responses end at any step, one or several at once.
    forward = sharp_model.forward

    def ending(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits[:, -1, tokenizer.eos_token_id] += more
        return output

    monkeypatch.setattr(sharp_model, "forward", ending)
    alike = sorted(examples, key=lambda e: (e.dataset, len(prompt_ids(tokenizer, e))))[:12]
    if decoding is GREEDY:
        alike.sort(key=lambda e: len(prompt_ids(tokenizer, e)))
    responses = generate(sharp_model, tokenizer, alike, decoding, LONG, 5)
    assert responses == generated(sharp_model, tokenizer, alike, decoding, 5)
    texts = {text for samples in texts_of(responses) for text in samples}
    assert len({len(tokenizer(text)["input_ids"]) for text in texts}) > 3
