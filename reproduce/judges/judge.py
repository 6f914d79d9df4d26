"""Judges: task performance, faithfulness and instruction following of a response.

What applies to an example follows from its kind and from whether it carries instructions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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
from reproduce.schema import Example

__all__ = ["Entailment", "Judgement", "Rater", "judge"]

Score = float | None
Details = dict[str, float]

LOWEST_RATING, HIGHEST_RATING = 1.0, 10.0
"""The scale of a `Rater`: that of single-answer grading in MT-bench (Zheng et al., 2023)."""


class Rater(Protocol):
    """A judge that rates how well responses follow their instructions."""

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return the rating, 1 to 10, of each (instruction, response); None where it gave none."""
        ...


@dataclass(frozen=True)
class Judgement:
    """The scores of one response; None where a judge does not apply to the example.

    Attributes:
        task: 0 to 1; token F1 (extractive) or ROUGE-L (the other kinds).
        faithfulness: the detail that carries it for the example's kind; -1 to 1 by entailment,
            0 to 1 by coverage and K-precision.
        instruction: 0 to 1, the share of the instructions followed strictly; by a `Rater`, its
            rating on the same scale, None where it gave none.
        details: every figure behind these scores, by name; "empty" is 1.0 for a response
            of nothing but white space, whose other figures are all 0.0. "summac" is SummaC-ZS
            of the response; "entailed" is the same of the statements that an extractive answer
            makes together with its question: a short answer has no unit of its own. Of a rated
            response, "rating" is 1 to 10, and "unrated" 1.0 where the rater gave none.
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
    rater: Rater | None = None,
) -> list[Judgement]:
    """Return the judgement of each response to the example beside it.

    `carriers` is kind of example -> the detail that counts as its faithfulness. With a `rater`,
    instruction following of the IF side is its rating; probes, which count in no objective, and
    empty responses are not rated. The entailment model and the rater are called at most once, for
    all responses together.

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
    rated = _rated(rows, rater) if rater else {}
    return [
        _judgement(*row, found.get(n, 0.0), carriers, rated.get(n)) for n, row in enumerate(rows)
    ]


def _rated(rows: Sequence[tuple[Example, str]], rater: Rater) -> dict[int, Details]:
    """Return number of row -> what the rater says of it, for the rows that it applies to."""
    whole = [n for n, (e, _) in enumerate(rows) if e.kind == "instruction" and not e.probe]
    asked = [n for n in whole if rows[n][1].strip()]
    pairs = [(rows[n][0].prompt, rows[n][1]) for n in asked]
    found: dict[int, Details] = {n: {"rating": LOWEST_RATING, "unrated": 0.0} for n in whole}
    for n, rating in zip(asked, rater(pairs) if pairs else [], strict=True):
        found[n] = {"unrated": 1.0} if rating is None else {"rating": rating, "unrated": 0.0}
    return found


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
    example: Example,
    response: str,
    entailed: float,
    carriers: Mapping[str, str],
    rated: Details | None,
) -> Judgement:
    task, details = _task(example, response)
    more = _faithfulness(example, response, entailed)
    faithfulness = more[carriers[example.kind]] if more else None
    instruction, most = _instruction(example, response)
    if rated is not None:
        instruction, most = _share(rated.get("rating")), {**most, **rated}
    details = {**details, **more, **most}
    if response.strip():
        return Judgement(task, faithfulness, instruction, {**details, "empty": 0.0})
    # Said outright: a reference such as "the" normalises to "" and would match exactly.
    details = {**dict.fromkeys(details, 0.0), "empty": 1.0}
    return Judgement(_zero(task), _zero(faithfulness), _zero(instruction), details)


def _share(rating: Score) -> Score:
    return None if rating is None else (rating - LOWEST_RATING) / (HIGHEST_RATING - LOWEST_RATING)


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
