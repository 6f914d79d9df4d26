"""Judged responses: one judgement a distinct response, all rows back in their order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reproduce.generation.respond import evaluate
from reproduce.judges.panel import TooMuchLost, judged, judges_of, refuse_lost

from reproduce.config import Judging, Params, load_params
from reproduce.judges.judge import Judgement
from reproduce.models.load import load_model
from reproduce.schema import Example

ROOT = Path(__file__).parent.parent
MEASURES: Any = {"extractive": "entailed", "abstractive": "summac", "max_empty_share": 0}
JUDGES = judges_of(Judging(entailment="symbolic", **MEASURES), None, Path())
Sets = dict[str, list[Example]]
Row = dict[str, Any]


@pytest.fixture
def params() -> Params:
    params = load_params(ROOT / "params.yaml")
    few = params.generation.model_copy(update={"max_new_tokens": 4, "batch_size": 16})
    return params.model_copy(update={"generation": few})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_responses_come_in_the_precision_of_the_profile(
    params: Params, make_model: Any, tokenizer: Any, held_out: Sets, precision: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    hardware = params.hardware.model_copy(update={"precision": precision})
    make_model().save_pretrained(tmp_path)
    assert load_model(tmp_path, hardware).dtype == torch.float32
    model = load_model(tmp_path, hardware, generates=True)
    assert model.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    # Rounded to bf16, the frequencies would put words where training has not put them.
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32
    rows = evaluate(tokenizer, held_out["lists"][:3], params, JUDGES, 0, model)
    assert len(rows) == 3


def rows_for(examples: list[Example]) -> list[Row]:
    """Return rows with repeats, out of order; wrong, right and empty responses."""
    return [
        {"dataset": e.dataset, "example": e.id, "response": text, "number": number}
        for number in range(3)
        for e in reversed(examples)
        for text in (e.response, examples[number].response, "", e.response)
    ]


def test_all_rows_come_back_in_order_with_their_own_judgement(held_out: Sets) -> None:
    examples = [found[i] for found in held_out.values() for i in range(3)]
    rows = rows_for(examples)
    found = judged(rows, {e.id: e for e in examples}, JUDGES)
    assert len(found) == len(rows)
    by_id = {e.id: e for e in examples}
    for before, after in zip(rows, found, strict=True):
        assert before.items() <= after.items()
        alone = JUDGES([by_id[before["example"]]], [before["response"]])[0]
        assert {key: after[key] for key in vars(alone)} == vars(alone)


def test_rows_may_be_read_once_only(held_out: Sets) -> None:
    examples = held_out["describe"][:3]
    rows = rows_for(examples)
    by_id = {e.id: e for e in examples}
    found = judged(iter(rows), by_id, JUDGES)
    assert found == judged(rows, by_id, JUDGES)


def test_equal_responses_are_judged_once(held_out: Sets) -> None:
    seen: list[tuple[str, str]] = []

    def counting(examples: Sequence[Example], responses: Sequence[str]) -> list[Judgement]:
        seen.extend((e.id, text) for e, text in zip(examples, responses, strict=True))
        return JUDGES(examples, responses)

    examples = held_out["qa-single"][:3]
    rows = rows_for(examples)
    judged(rows, {e.id: e for e in examples}, counting)
    assert len(seen) == len(set(seen)) == len({(r["example"], r["response"]) for r in rows})


def test_one_text_for_two_prompts_is_judged_for_each(held_out: Sets) -> None:
    one = held_out["qa-single"][0]
    two = next(e for e in held_out["qa-single"] if e.response != one.response)
    rows = [{"example": e.id, "response": one.response} for e in (one, two)]
    found = judged(rows, {e.id: e for e in (one, two)}, JUDGES)
    assert [r["task"] for r in found] == [1.0, 0.0]


def test_nothing_is_judged_as_nothing() -> None:
    assert judged([], {}, JUDGES) == []


def test_evaluation_answers_every_example_in_order(
    sharp_model: Any, tokenizer: Any, held_out: Sets, params: Params
) -> None:
    examples = [found[i] for i in range(2) for found in held_out.values()]
    found = evaluate(tokenizer, examples, params, JUDGES, 0, sharp_model)
    assert [(r["dataset"], r["example"]) for r in found] == [(e.dataset, e.id) for e in examples]
    assert found == evaluate(tokenizer, examples, params, JUDGES, 1, sharp_model)  # Greedy.
    assert all({"task", "faithfulness", "instruction", "details"} <= set(r) for r in found)


@pytest.mark.parametrize("name", ["symbolic", "lexical"])
def test_the_named_entailment_model_gives_probabilities(name: str) -> None:
    judges = judges_of(Judging(entailment=name, **MEASURES), None, Path())
    model = judges.keywords["entailment"]
    fact = "Anna owns a cat."
    table = np.asarray(model([(fact, fact), (fact, "No.")]))
    assert table.shape == (2, 3) and table[0, 0] == 1 and table[1, 0] == 0
    assert np.allclose(table.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("empty", "whole", "share", "lost"),
    [(0, 4, 0.0, False), (1, 4, 0.0, True), (2, 4, 0.5, False), (3, 4, 0.5, True),
     (4, 4, 1.0, False), (0, 0, 0.0, False)],
)  # fmt: skip
def test_too_many_empty_responses_are_refused(
    empty: int, whole: int, share: float, lost: bool
) -> None:
    rows = [{"response": "" if n < empty else "text"} for n in range(whole)]
    settings = Judging(entailment="symbolic", **{**MEASURES, "max_empty_share": share})
    if not lost:
        refuse_lost(rows, settings, "arm/x, seed 3")
        return
    with pytest.raises(TooMuchLost) as found:
        refuse_lost(rows, settings, "arm/x, seed 3")
    assert f"arm/x, seed 3: {empty} of {whole} responses are empty" in str(found.value)
    assert f"{share} (judging.max_empty_share)" in str(found.value)
