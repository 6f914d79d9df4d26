"""Judges: task performance, faithfulness and instruction following of a response.

What applies to an example follows from its kind and from whether it carries instructions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reproduce.examples import Example
from reproduce.judges.faithfulness import (
    Entailment,
    k_precision,
    score_units,
    span_coverage,
    statements,
    units,
)
from reproduce.judges.instructions import follow, loose, validate
from reproduce.judges.task import exact_match, rouge_l, states, token_f1

__all__ = ["Entailment", "Judgement", "judge"]

Score = float | None
Details = dict[str, float]


@dataclass(frozen=True)
class Judgement:
    """The scores of one response; None where a judge does not apply to the example.

    Attributes:
        task: 0 to 1; token F1 (extractive) or ROUGE-L (the other kinds).
        faithfulness: the detail that carries it for the example's kind; -1 to 1 by entailment,
            0 to 1 by coverage and K-precision.
        instruction: 0 to 1, the share of the instructions followed strictly.
        details: every figure behind these scores, by name; "empty" is 1.0 for a response
            of nothing but white space, whose other figures are all 0.0. "summac" is SummaC-ZS
            of the response; "entailed" is the same of the statements that an extractive answer
            makes together with its question: a short answer has no unit of its own.
    """

    task: Score
    faithfulness: Score
    instruction: Score
    details: Details = field(default_factory=dict)


def judge(
    examples: Sequence[Example],
    responses: Sequence[str],
    entailment: Entailment,
    carriers: Mapping[str, str],
) -> list[Judgement]:
    """Return the judgement of each response to the example beside it.

    `carriers` is kind of example -> the detail that counts as its faithfulness.
    The entailment model is called at most once, for all responses together.

    Raises:
        ValueError: the two sequences differ in length; an example lacks the context or the
            references that its kind needs, or carries an instruction that cannot be checked;
            or the entailment model answers with anything but (n, 3) probabilities.
    """
    if len(examples) != len(responses):
        raise ValueError(f"{len(examples)} examples but {len(responses)} responses")
    for example in examples:
        _check(example)
    rows = list(zip(examples, responses, strict=True))
    chosen = [n for n, row in enumerate(rows) if row[0].side == "CD" and row[1].strip()]
    scores = score_units([_units(*rows[n]) for n in chosen], entailment)
    found = dict(zip(chosen, scores, strict=True))
    return [_judgement(*row, found.get(n, 0.0), carriers) for n, row in enumerate(rows)]


def _check(example: Example) -> None:
    # Before the model runs, so that a broken example does not cost the whole batch.
    if example.side == "CD" and not (example.context.strip() and example.references):
        raise ValueError(
            f"example {example.id} of {example.dataset!r} is {example.kind} and needs "
            "a context and references to be judged"
        )
    for instruction in example.instructions:
        try:
            validate(instruction)
        except ValueError as error:
            raise ValueError(f"example {example.id} of {example.dataset!r}: {error}") from None


def _units(example: Example, response: str) -> tuple[list[str], list[str]]:
    if example.kind == "extractive":
        said = statements(example.prompt, example.context, response)
        return units(example.context), said
    return units(example.context), units(response)


def _judgement(
    example: Example, response: str, entailed: float, carriers: Mapping[str, str]
) -> Judgement:
    task, details = _task(example, response)
    more = _faithfulness(example, response, entailed)
    faithfulness = more[carriers[example.kind]] if more else None
    instruction, most = _instruction(example, response)
    details = {**details, **more, **most}
    if response.strip():
        return Judgement(task, faithfulness, instruction, {**details, "empty": 0.0})
    # Said outright: a reference such as "the" normalises to "" and would match exactly.
    details = {**dict.fromkeys(details, 0.0), "empty": 1.0}
    return Judgement(_zero(task), _zero(faithfulness), _zero(instruction), details)


def _zero(score: Score) -> Score:
    return None if score is None else 0.0


def _task(example: Example, response: str) -> tuple[Score, Details]:
    if not example.references:
        return None, {}
    if example.kind == "extractive":
        f1 = token_f1(response, example.references)
        exact = exact_match(response, example.references)
        return f1, {
            "exact_match": exact,
            "token_f1": f1,
            "states_answer": states(response, example.references),
        }
    score = rouge_l(response, example.references)
    return score, {"rouge_l": score}


def _faithfulness(example: Example, response: str, entailed: float) -> Details:
    if example.side == "IF":
        return {}
    coverage, density = span_coverage(example.context, response)
    return {
        "coverage": coverage,
        "density": density,
        "k_precision": k_precision(example.context, response),
        "entailed" if example.kind == "extractive" else "summac": entailed,
    }


def _instruction(example: Example, response: str) -> tuple[Score, Details]:
    if not example.instructions:
        return None, {}
    strict = follow(response, example.instructions)
    relaxed = loose(response, example.instructions)
    share = sum(strict) / len(strict)
    return share, {
        "instruction_strict": share,
        "prompt_strict": float(all(strict)),
        "instruction_loose": sum(relaxed) / len(relaxed),
        "prompt_loose": float(all(relaxed)),
    }
