"""Which judge applies to which example, and what a judgement holds."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from reproduce.judges.judge import Judgement
from reproduce.judges.judge import judge as judge_by
from reproduce.schema import Example

CONTEXT = "The cat sat on the mat. The dog slept all day long."
EXTRACTIVE = Example("qa", "extractive", "Where?", "the mat", CONTEXT, ("the mat", "a mat"))
ABSTRACTIVE = Example("news", "abstractive", "Sum up.", "A cat sat.", CONTEXT, ("A cat sat.",))
INSTRUCTION = Example(
    "chat",
    "instruction",
    "Say hi.",
    "hi",
    instructions=({"id": "lowercase"}, {"id": "no_comma"}, {"id": "words", "n": 2}),
)
CONTEXT_UNITS = ["The cat sat on the mat.", "The dog slept all day long."]
SPAN = {"coverage", "density", "k_precision", "empty"}
ANSWER = SPAN | {"entailed"}
FOLLOWED = {"instruction_strict", "prompt_strict", "instruction_loose", "prompt_loose"}


CARRIERS = {"extractive": "entailed", "abstractive": "summac"}
judge = partial(judge_by, carriers=CARRIERS)


class Equal:
    """An entailment model: equal texts are entailed, all others are a weak contradiction."""

    def __init__(self) -> None:
        """Start without calls."""
        self.calls = 0
        self.pairs: list[tuple[str, str]] = []

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return one row per pair."""
        self.calls += 1
        self.pairs += pairs
        rows = [(1.0, 0.0, 0.0) if one == other else (0.0, 0.25, 0.75) for one, other in pairs]
        return np.array(rows, dtype=np.float32)


def _never(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    raise AssertionError(f"nothing here needs the entailment model, which got {pairs}")


def _one(example: Example, response: str, entailment: Any = _never) -> Judgement:
    return judge([example], [response], entailment)[0]


def test_an_extractive_answer_is_judged_together_with_its_question() -> None:
    model = Equal()
    judgement = _one(EXTRACTIVE, "the red mat", model)
    # "red mat" against "mat": 1 of 2 and 1 of 1 tokens.
    assert judgement.task == pytest.approx(2 / 3)
    assert judgement.instruction is None
    assert {text for _, text in model.pairs} == {"Where? the red mat"}
    assert [premise for premise, _ in model.pairs] == CONTEXT_UNITS
    assert judgement.faithfulness == judgement.details["entailed"] == -0.25
    assert set(judgement.details) == ANSWER | {"exact_match", "token_f1", "states_answer"}
    assert judgement.details["coverage"] == judgement.details["density"] == pytest.approx(2 / 3)
    assert judgement.details["k_precision"] == 0.5
    assert judgement.details["exact_match"] == judgement.details["empty"] == 0.0


def test_every_sentence_of_an_answer_is_a_statement() -> None:
    model = Equal()
    _one(EXTRACTIVE, "The mat. It sat there.", model)
    assert {text for _, text in model.pairs} == {"Where? The mat.", "Where? It sat there."}


@pytest.mark.parametrize(("carrier", "expected"), [("coverage", 2 / 3), ("k_precision", 0.5)])
def test_another_measure_may_carry_faithfulness(carrier: str, expected: float) -> None:
    carriers = {"extractive": carrier, "abstractive": "summac"}
    found = judge_by([EXTRACTIVE], ["the red mat"], Equal(), carriers)[0]
    assert found.faithfulness == found.details[carrier] == pytest.approx(expected)


def test_abstractive() -> None:
    judgement = _one(ABSTRACTIVE, "The cat sat on the mat.", Equal())
    # "cat sat" of 6 and of 3 tokens.
    assert judgement.task == judgement.details["rouge_l"] == pytest.approx(4 / 9)
    assert judgement.faithfulness == judgement.details["summac"] == 0.75
    assert set(judgement.details) == SPAN | {"rouge_l", "summac"}


def test_short_abstractive_response_scores_zero_by_summac() -> None:
    assert _one(ABSTRACTIVE, "Cat sat.").faithfulness == 0.0


def test_instruction() -> None:
    judgement = _one(INSTRUCTION, "Sure!\nlow, words")
    assert (judgement.task, judgement.faithfulness, judgement.instruction) == (None, None, 0.0)
    # Loose: without its first line it is lower-case and two words long, and without its last
    # line it has no comma.
    assert judgement.details == {
        "instruction_strict": 0.0,
        "prompt_strict": 0.0,
        "instruction_loose": 1.0,
        "prompt_loose": 1.0,
        "empty": 0.0,
    }
    assert _one(INSTRUCTION, "low, words").instruction == pytest.approx(2 / 3)
    assert _one(INSTRUCTION, "low words").details["prompt_strict"] == 1.0


def test_instruction_with_references_has_a_task_score() -> None:
    example = Example("chat", "instruction", "Say hi.", "hi you", references=("hi you",))
    judgement = _one(example, "hi you")
    assert judgement == Judgement(1.0, None, None, {"rouge_l": 1.0, "empty": 0.0})


def test_context_dependent_example_with_instructions_has_all_three() -> None:
    example = Example(
        "qa", "extractive", "Q", "mat", CONTEXT, ("mat",), instructions=({"id": "uppercase"},)
    )
    judgement = _one(example, "MAT", Equal())
    assert (judgement.task, judgement.faithfulness, judgement.instruction) == (1.0, -0.25, 1.0)
    assert set(judgement.details) == ANSWER | FOLLOWED | {
        "exact_match",
        "token_f1",
        "states_answer",
    }


@pytest.mark.parametrize("response", ["", " \n"])
@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (EXTRACTIVE, (0.0, 0.0, None)),
        (Example("qa", "extractive", "Q", "the", CONTEXT, ("the",)), (0.0, 0.0, None)),
        (ABSTRACTIVE, (0.0, 0.0, None)),
        (INSTRUCTION, (None, None, 0.0)),
    ],
)
def test_empty_response(
    example: Example, expected: tuple[float | None, ...], response: str
) -> None:
    judgement = _one(example, response)
    assert (judgement.task, judgement.faithfulness, judgement.instruction) == expected
    assert judgement.details.pop("empty") == 1.0
    assert set(judgement.details.values()) == {0.0}


def test_batch_equals_one_by_one_with_one_model_call() -> None:
    examples = [EXTRACTIVE, ABSTRACTIVE, INSTRUCTION, EXTRACTIVE, ABSTRACTIVE]
    responses = ["mat", "The dog slept all day long.", "hi", "The cat sat on the red mat.", ""]
    model = Equal()
    together = judge(examples, responses, model)
    assert model.calls == 1
    singly = [_one(*row, Equal()) for row in zip(examples, responses, strict=True)]
    assert together == singly
    assert judge([], [], _never) == []


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="1 examples but 2 responses"):
        judge([EXTRACTIVE], ["a", "b"], _never)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (Example("qa", "extractive", "Q", "A", CONTEXT), "'qa' is extractive and needs"),
        (Example("news", "abstractive", "Q", "A", " ", ("A",)), "'news' is abstractive and needs"),
        (Example("chat", "instruction", "Q", "A", instructions=({"id": "nope"},)), "'chat': unk"),
    ],
)
def test_broken_example_is_named_before_the_model_runs(example: Example, message: str) -> None:
    with pytest.raises(ValueError, match=f"example {example.id} of {message}"):
        judge([ABSTRACTIVE, example], ["The cat sat on the mat."] * 2, _never)


@pytest.mark.parametrize("answer", [np.full((2, 3), np.nan), np.full((2, 2), 0.5)])
def test_broken_entailment_names_the_first_pair(answer: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'The cat sat on the mat.', 'A bird sang loudly.'"):
        _one(ABSTRACTIVE, "A bird sang loudly.", lambda pairs: answer)
