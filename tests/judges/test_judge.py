"""Which judge applies to which example, and what a judgement holds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.profiles import nano_params

from reproduce.judges.judge import JudgePanel, check_empty_share
from reproduce.schema import Example, Judgement
from reproduce.utils.files import UserError

CONTEXT = "The cat sat on the mat. The dog slept all day long."
EXTRACTIVE = Example("qa", "extractive", "Where?", "the mat", CONTEXT, ("the mat", "a mat"))
ABSTRACTIVE = Example("news", "abstractive", "Sum up.", "A cat sat.", CONTEXT, ("A cat sat.",))
INSTRUCTIONS: Any = ({"id": "lowercase"}, {"id": "no_comma"}, {"id": "words", "n": 2})
INSTRUCTION = Example("chat", "instruction", "Say hi.", "hi", instructions=INSTRUCTIONS)
PROBE = Example("probe", "instruction", "Say.", "hi", instructions=INSTRUCTIONS, is_probe=True)
FREE = Example("free", "instruction", "Say what you like.", "I do.")
CONTEXT_SENTENCES = ["The cat sat on the mat.", "The dog slept all day long."]
SPAN = {"coverage", "density", "k_precision", "empty"}
ANSWER = SPAN | {"entailed", "exact_match", "token_f1", "states_answer"}


class Equal:
    """An entailment model: equal texts are entailed, all others are a weak contradiction."""

    def __init__(self) -> None:
        self.calls: list[Sequence[tuple[str, str]]] = []

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        self.calls.append(pairs)
        rows = [(1.0, 0.0, 0.0) if one == other else (0.0, 0.25, 0.75) for one, other in pairs]
        return np.array(rows, dtype=np.float32)


def never(pairs: Sequence[tuple[str, str]]) -> Any:
    raise AssertionError(f"nothing here needs this judge, which got {pairs}")


def judge(
    examples: Sequence[Example],
    responses: Sequence[str],
    entailment: Any,
    llm_judge: Any = None,
    reader: Any = None,
    metric: str = "entailed",
) -> list[Judgement]:
    panel = JudgePanel(nano_params(judging__extractive=metric), Path())
    panel.entailment, panel.llm_judge, panel.reader = entailment, llm_judge, reader
    return panel.judge(examples, responses)


def judge_one(example: Example, response: str, entailment: Any = never) -> Judgement:
    return judge([example], [response], entailment)[0]


def test_an_extractive_answer_is_judged_together_with_its_question() -> None:
    model = Equal()
    judgement = judge_one(EXTRACTIVE, "the red mat", model)
    # "red mat" against "mat": 1 of 2 and 1 of 1 tokens.
    assert judgement.task == pytest.approx(2 / 3)
    assert judgement.instruction is None
    assert model.calls == [[(premise, "Where? the red mat") for premise in CONTEXT_SENTENCES]]
    assert (judgement.faithfulness, judgement.details["entailed"]) == (0.375, -0.25)
    assert set(judgement.details) == ANSWER
    assert judgement.details["coverage"] == judgement.details["density"] == pytest.approx(2 / 3)
    assert judgement.details["k_precision"] == 0.5
    assert judgement.details["exact_match"] == judgement.details["empty"] == 0.0
    assert judge_one(EXTRACTIVE, "on the mat there", Equal()).details["states_answer"] == 1.0


def test_every_sentence_of_an_answer_is_a_hypothesis() -> None:
    model = Equal()
    judge_one(EXTRACTIVE, "The mat. It sat there.", model)
    assert {text for _, text in model.calls[0]} == {"Where? The mat.", "Where? It sat there."}


@pytest.mark.parametrize(("metric", "expected"), [("coverage", 2 / 3), ("k_precision", 0.5)])
def test_the_faithfulness_metric_is_a_choice(metric: str, expected: float) -> None:
    (judgement,) = judge([EXTRACTIVE], ["the red mat"], Equal(), metric=metric)
    assert judgement.faithfulness == judgement.details[metric] == pytest.approx(expected)


def test_abstractive() -> None:
    judgement = judge_one(ABSTRACTIVE, "The cat sat on the mat.", Equal())
    # "cat sat" of 6 and of 3 tokens.
    assert judgement.task == judgement.details["rouge_l"] == pytest.approx(4 / 9)
    assert (judgement.faithfulness, judgement.details["summac"]) == (0.875, 0.75)
    assert set(judgement.details) == SPAN | {"rouge_l", "summac"}
    # SummaC-ZS scores no sentence of this length.
    assert judge_one(ABSTRACTIVE, "Cat sat.").faithfulness == 0.5


def test_instructions_are_judged_strictly_loosely_and_one_by_one() -> None:
    judgement = judge_one(INSTRUCTION, "Sure!\nlow, words")
    assert (judgement.task, judgement.faithfulness, judgement.instruction) == (None, None, 0.0)
    # Loose: without its first line it is lower-case and two words long, and without its last
    # line it has no comma.
    assert judgement.details == {
        "instruction_strict": 0.0, "prompt_strict": 0.0, "instruction_loose": 1.0,
        "prompt_loose": 1.0, "followed_0": 0.0, "followed_1": 0.0, "followed_2": 0.0, "empty": 0.0,
    }  # fmt: skip
    judgement = judge_one(INSTRUCTION, "low, words")
    assert judgement.instruction == pytest.approx(2 / 3)
    assert [judgement.details[f"followed_{number}"] for number in range(3)] == [1.0, 0.0, 1.0]
    assert judge_one(INSTRUCTION, "low words").details["prompt_strict"] == 1.0


def test_an_instruction_example_with_references_has_a_task_score() -> None:
    example = Example("chat", "instruction", "Say hi.", "hi you", references=("hi you",))
    assert judge_one(example, "hi you") == Judgement(1.0, None, None, {"rouge_l": 1.0, "empty": 0})


def test_a_context_dependent_example_with_instructions_has_all_three_scores() -> None:
    rules = ({"id": "uppercase"},)
    example = Example("qa", "extractive", "Q", "mat", CONTEXT, ("mat",), instructions=rules)
    judgement = judge_one(example, "MAT", Equal())
    assert (judgement.task, judgement.faithfulness, judgement.instruction) == (1.0, 0.375, 1.0)
    assert ANSWER | {"instruction_strict", "followed_0"} <= set(judgement.details)


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
def test_an_empty_response_scores_zero(example: Example, expected: Any, response: str) -> None:
    judgement = judge_one(example, response)
    assert (judgement.task, judgement.faithfulness, judgement.instruction) == expected
    assert judgement.details.pop("empty") == 1.0
    assert set(judgement.details.values()) == {0.0}


def test_a_batch_equals_one_by_one_with_one_call_of_the_model() -> None:
    examples = [EXTRACTIVE, ABSTRACTIVE, INSTRUCTION, EXTRACTIVE, ABSTRACTIVE]
    responses = ["mat", "The dog slept all day long.", "hi", "The cat sat on the red mat.", ""]
    model = Equal()
    together = judge(examples, responses, model)
    assert len(model.calls) == 1
    pairs = zip(examples, responses, strict=True)
    assert together == [judge_one(*pair, Equal()) for pair in pairs]
    assert judge([], [], never) == []
    with pytest.raises(ValueError):
        judge([EXTRACTIVE], ["a", "b"], never)


class Ratings:
    """An LLM judge with fixed ratings that keeps what it was sent."""

    def __init__(self, **by_response: float | None) -> None:
        self.by_response = by_response
        self.calls: list[Sequence[tuple[str, str]]] = []

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        self.calls.append(pairs)
        return [self.by_response[text] for _, text in pairs]


def test_a_rating_replaces_the_share_of_instructions_and_changes_no_other_score() -> None:
    examples = [INSTRUCTION, INSTRUCTION, FREE, FREE, PROBE, EXTRACTIVE]
    responses = ["good", "odd", "fair", "  ", "good", "good"]
    ratings = Ratings(good=10.0, odd=None, fair=5.5)
    plain = judge(examples, responses, Equal())
    judgements = judge(examples, responses, Equal(), llm_judge=ratings)
    sent = [("Say hi.", "good"), ("Say hi.", "odd"), ("Say what you like.", "fair")]
    assert [sorted(call) for call in ratings.calls] == [sent]
    assert [j.instruction for j in judgements[:4]] == [1.0, None, 0.5, 0.0]
    assert judgements[0].details == {**plain[0].details, "rating": 10.0, "unrated": 0.0}
    assert judgements[1].details == {**plain[1].details, "unrated": 1.0}
    assert judgements[3].details == {"rating": 0.0, "unrated": 0.0, "empty": 1.0}
    assert judgements[4:] == plain[4:]
    judge([EXTRACTIVE, INSTRUCTION], ["a mat", ""], Equal(), llm_judge=never)


def test_the_reader_adds_a_detail_and_changes_nothing_else() -> None:
    class Fixed:
        def score(self, questions: Any, contexts: Any, answers: Any) -> list[float]:
            return [0.75 for _ in answers]

    examples, texts = [EXTRACTIVE, ABSTRACTIVE, FREE], ["the mat", "A cat sat.", "I do."]
    plain = judge(examples, texts, Equal())
    for one, other in zip(plain, judge(examples, texts, Equal(), reader=Fixed()), strict=True):
        added = dict(other.details)
        assert added.pop("reader", None) == (0.75 if "entailed" in one.details else None)
        assert replace(other, details=added) == one


def test_equal_responses_to_one_example_are_judged_once() -> None:
    model, ratings = Equal(), Ratings(a=4.0, b=None)
    examples = [INSTRUCTION, EXTRACTIVE, INSTRUCTION, EXTRACTIVE, INSTRUCTION]
    responses = ["b", "mat", "a", "mat", "b"]
    judgements = judge(examples, responses, model, ratings)
    assert ratings.calls == [[("Say hi.", "a"), ("Say hi.", "b")]]
    assert len(model.calls) == 1 and len(model.calls[0]) == len(CONTEXT_SENTENCES)
    pairs = zip(examples, responses, strict=True)
    one_by_one = [judge([e], [text], Equal(), Ratings(a=4.0, b=None))[0] for e, text in pairs]
    assert judgements == one_by_one


def test_too_many_empty_responses_are_an_error() -> None:
    judgements = judge([FREE] * 4, ["a", "b", "c", ""], never)

    def check(share: float) -> None:
        judging = nano_params().judging.model_copy(update={"max_empty_share": share})
        check_empty_share(judgements, judging, "arm")

    check(0.25)
    with pytest.raises(UserError, match=r"arm: 1 of 4.*max_empty_share"):
        check(0.24)
