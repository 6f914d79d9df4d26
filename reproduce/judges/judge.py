"""Judgements of responses: task performance, faithfulness and instruction following.

Which judges apply to an example depends on its kind and on whether it has instructions.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import rouge_score.rouge_scorer  # noqa: F401  (here, so once before seeds are forked)

from reproduce.config import ENTAILMENT_METRICS, Judging, Params
from reproduce.judges.cloze import PassageEntailment
from reproduce.judges.faithfulness import (
    Entailment,
    k_precision,
    scored_sentences,
    span_coverage,
    statements,
    summac_zs,
)
from reproduce.judges.instructions import bind, check_loose, check_strict
from reproduce.judges.llm_judge import MAX_RATING, MIN_RATING, build_llm_judge
from reproduce.judges.nli import CrossEncoder
from reproduce.judges.task import contains_answer, exact_match, rouge_l, token_f1
from reproduce.judges.text import has_words
from reproduce.schema import Example, Judgement
from reproduce.utils.files import UserError
from reproduce.world.entailment import symbolic_entailment

READER = "reader"
"""Folder of the span reader, in that of the entailment model."""
Rate = Callable[[Sequence[tuple[str, str]]], list[float | None]]
"""Pairs of (instruction, response) -> ratings from 1 to 10; None where one is unreadable."""


class JudgePanel:
    """All judges of a profile."""

    def __init__(self, params: Params, model_folder: Path, selects: bool = False) -> None:
        """Load the entailment model, from `model_folder` if it has weights, and the LLM judge.

        `selects`: faithfulness is by the metric that selects candidates, not the one that decides.
        Raises ConfigError or UserError if the LLM judge lacks its prompt or key.
        """
        self.llm_judge = build_llm_judge(params)
        judging = params.judging
        self.faithfulness_metric = (
            judging.selection_metric if selects else judging.faithfulness_metric
        )
        self.entailment: Entailment = symbolic_entailment
        if judging.entailment != "symbolic":
            self.entailment = CrossEncoder(model_folder)
        self.reader = PassageEntailment(model_folder / READER) if judging.uses_reader else None

    def judge(self, examples: Sequence[Example], responses: Sequence[str]) -> list[Judgement]:
        """Return the judgement of each response to the example at its position.

        Equal responses to examples of one id are judged once. Raises ValueError as `judge` does.
        """
        keys = [(e.id, text) for e, text in zip(examples, responses, strict=True)]
        distinct = dict(sorted(zip(keys, examples, strict=True), key=lambda item: item[0]))
        judgements = judge(
            list(distinct.values()),
            [text for _, text in distinct],
            self.entailment,
            self.faithfulness_metric,
            self.llm_judge,
            self.reader,
        )
        by_key = dict(zip(distinct, judgements, strict=True))
        return [by_key[key] for key in keys]


def judge(
    examples: Sequence[Example],
    responses: Sequence[str],
    entailment: Entailment,
    faithfulness_metric: Mapping[str, str],
    llm_judge: Rate | None = None,
    reader: PassageEntailment | None = None,
) -> list[Judgement]:
    """Return the judgement of each response to the example at its position.

    `faithfulness_metric` is kind of example -> the detail that is its faithfulness. With an LLM
    judge, its rating on a scale from 0 to 1 replaces the share of the instructions that a
    response follows; probes, which count in no objective, and empty responses are not rated.
    Entailment model and LLM judge are called at most once, for all responses together.

    Details of a judgement, from 0 to 1 unless stated otherwise:
        empty: 1.0 for a response without a letter or digit; all its other details are 0.0.
        exact_match, token_f1, contains_answer as "states_answer", rouge_l: see `task`.
        coverage, density (0 to the number of tokens), k_precision: see `faithfulness`.
        summac: SummaC-ZS of the response, -1 to 1. For an extractive answer "entailed" instead,
            the same of the statements that the answer makes together with its question.
        reader: what the span reader finds of a context-dependent response; see `cloze`.
        instruction_strict, instruction_loose: share of the instructions that are followed.
        prompt_strict, prompt_loose: whether all of them are.
        followed_0, followed_1, ...: whether each instruction is followed strictly, in the order
            of the example.
        rating (1 to 10), unrated: the LLM judge's, and whether it is unreadable.

    Raises:
        ValueError: the two sequences differ in length; an example lacks the context or the
            references that its kind needs, or has an instruction that cannot be checked;
            or the entailment model returns anything but (n, 3) probabilities.
    """
    pairs = list(zip(examples, responses, strict=True))
    for example in examples:  # Before the slow judges start.
        _check(example)
    texts = [_summac_texts(example, response) for example, response in pairs]
    entailed = summac_zs(texts, entailment)
    read = reader.judge(examples, responses) if reader else [None] * len(pairs)
    ratings: dict[int, float | None] = {}
    if llm_judge:
        rated = [n for n, e in enumerate(examples) if e.side != "CD" and not e.is_probe]
        ratings = dict.fromkeys(rated, MIN_RATING)
        sent = [n for n in rated if has_words(responses[n])]
        if sent:
            answers = llm_judge([(examples[n].prompt, responses[n]) for n in sent])
            ratings |= dict(zip(sent, answers, strict=True))
    return [
        _judge_one(*pair, entailed[n], read[n], faithfulness_metric, n in ratings, ratings.get(n))
        for n, pair in enumerate(pairs)
    ]


def check_empty_share(judgements: Sequence[Judgement], settings: Judging, title: str) -> None:
    """Raise UserError if too many responses are empty."""
    empty = sum(judgement.details["empty"] for judgement in judgements)
    if empty > settings.max_empty_share * len(judgements):
        raise UserError(
            f"{title}: {empty:.0f} of {len(judgements)} responses are empty; a share of "
            f"{settings.max_empty_share} is allowed (judging.max_empty_share)"
        )


def _check(example: Example) -> None:
    is_context = example.kind != "instruction"
    if is_context and not (example.context.strip() and example.references):
        raise ValueError(
            f"example {example.id} of {example.dataset!r} is {example.kind} and needs "
            "a context and references to be judged"
        )
    for instruction in example.instructions:
        try:
            bind(instruction)
        except ValueError as error:
            raise ValueError(f"example {example.id} of {example.dataset!r}: {error}") from None


def _summac_texts(example: Example, response: str) -> tuple[list[str], list[str]]:
    """Return the sentences of context and response that SummaC-ZS compares."""
    if example.kind == "instruction":
        return [], []
    context = scored_sentences(example.context)
    if example.kind == "extractive":
        return context, statements(example.prompt, example.context, response)
    return context, scored_sentences(response)


def _judge_one(
    example: Example,
    response: str,
    entailed: float,
    read: float | None,
    faithfulness_metric: Mapping[str, str],
    is_rated: bool,
    rating: float | None,
) -> Judgement:
    task = faithfulness = instruction = None
    details: dict[str, float] = {"empty": 0.0}
    if example.references and example.kind == "extractive":
        task = token_f1(response, example.references)
        details |= {
            "exact_match": exact_match(response, example.references),
            "token_f1": task,
            "states_answer": contains_answer(response, example.references),
        }
    elif example.references:
        task = details["rouge_l"] = rouge_l(response, example.references)
    if example.kind != "instruction":
        coverage, density = span_coverage(example.context, response)
        details |= {
            "coverage": coverage,
            "density": density,
            "k_precision": k_precision(example.context, response),
            "entailed" if example.kind == "extractive" else "summac": entailed,
        }
        if read is not None:
            details["reader"] = read
        metric = faithfulness_metric[example.kind]
        faithfulness = details[metric]
        if metric in ENTAILMENT_METRICS:
            faithfulness = (1 + faithfulness) / 2
    if example.instructions:
        strict = check_strict(response, example.instructions)
        loose = check_loose(response, example.instructions)
        instruction = sum(strict) / len(strict)
        details |= {
            "instruction_strict": instruction,
            "prompt_strict": float(all(strict)),
            "instruction_loose": sum(loose) / len(loose),
            "prompt_loose": float(all(loose)),
        }
        details |= {f"followed_{n}": float(followed) for n, followed in enumerate(strict)}
    if is_rated:
        details["unrated"], instruction = float(rating is None), None
        if rating is not None:
            details["rating"] = rating
            instruction = (rating - MIN_RATING) / (MAX_RATING - MIN_RATING)
    if not has_words(response):
        # Explicit, because a reference such as "the" normalises to "" and would match exactly.
        task, faithfulness, instruction = (
            None if score is None else 0.0 for score in (task, faithfulness, instruction)
        )
        details = dict.fromkeys(details, 0.0) | {"empty": 1.0}
    return Judgement(task, faithfulness, instruction, details)
