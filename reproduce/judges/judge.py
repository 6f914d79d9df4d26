"""Judgements of responses: task performance, faithfulness and instruction following.

Which judges apply to an example depends on its kind and on whether it has instructions.
"""

from collections.abc import Sequence
from pathlib import Path

import rouge_score.rouge_scorer  # noqa: F401  (here, so once before seeds are forked)

from reproduce.config import ENTAILMENT_METRICS, Judging, Params
from reproduce.judges.faithfulness import (
    Entailment,
    k_precision,
    question_of,
    scored_sentences,
    span_coverage,
    statements,
    summac_zs,
)
from reproduce.judges.instructions import check_loose, check_strict
from reproduce.judges.llm_judge import MAX_RATING, MIN_RATING, build_llm_judge
from reproduce.judges.nli import CrossEncoder
from reproduce.judges.reader import Reader
from reproduce.judges.task import contains_answer, exact_match, rouge_l, token_f1
from reproduce.judges.text import has_words
from reproduce.schema import Example, Judgement
from reproduce.utils.files import UserError
from reproduce.world.entailment import symbolic_entailment

READER = "reader"
"""Folder of the span reader, in that of the entailment model."""


class JudgePanel:
    """All judges of a profile.

    Attributes:
        faithfulness_metric: kind of example -> the detail that is its faithfulness.
        entailment: the entailment model.
        reader: the span reader, None if the profile does not use it.
        llm_judge: None if the profile has none.
    """

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
        self.reader = Reader(model_folder / READER) if judging.uses_reader else None

    def judge(self, examples: Sequence[Example], responses: Sequence[str]) -> list[Judgement]:
        """Return the judgement of each response to the example at its position.

        Equal responses to examples of one id are judged once. Entailment model and LLM judge are
        called at most once, for all responses together. With an LLM judge, its rating on a scale
        from 0 to 1 replaces the share of the instructions that a response follows; probes, which
        count in no objective, and empty responses are not rated.

        Details of a judgement, from 0 to 1 unless stated otherwise:
            empty: 1.0 for a response without a letter or digit; all its other details are 0.0.
            exact_match, token_f1, contains_answer as "states_answer", rouge_l: see `task`.
            coverage, density (0 to the number of tokens), k_precision: see `faithfulness`.
            summac: SummaC-ZS of the response, -1 to 1. For an extractive answer "entailed"
                instead, the same of the statements that the answer makes together with its
                question.
            reader: the score of an extractive answer by the span reader.
            instruction_strict, instruction_loose: share of the instructions that are followed.
            prompt_strict, prompt_loose: whether all of them are.
            followed_0, followed_1, ...: whether each instruction is followed strictly, in the
                order of the example.
            rating (1 to 10), unrated: the LLM judge's, and whether it is unreadable.

        Raises:
            ValueError: the two sequences differ in length, an instruction cannot be checked, or
                the entailment model returns anything but (n, 3) probabilities.
        """
        keys = [(e.id, text) for e, text in zip(examples, responses, strict=True)]
        distinct = dict(sorted(zip(keys, examples, strict=True), key=lambda item: item[0]))
        judged, texts = list(distinct.values()), [text for _, text in distinct]
        columns = (
            summac_zs(list(map(_summac_texts, judged, texts)), self.entailment),
            self._read(judged, texts),
            self._ratings(judged, texts),
        )
        judgements = map(self._judge_one, judged, texts, *columns)
        by_key = dict(zip(distinct, judgements, strict=True))
        return [by_key[key] for key in keys]

    def _read(self, examples: Sequence[Example], responses: Sequence[str]) -> list[float | None]:
        """Return the span reader's score of each extractive answer; None for all others."""
        scores: list[float | None] = [None] * len(examples)
        if self.reader is None:
            return scores
        answers = [n for n, example in enumerate(examples) if example.kind == "extractive"]
        read = self.reader.score(
            [question_of(examples[n].prompt, examples[n].context) for n in answers],
            [examples[n].context for n in answers],
            [responses[n] for n in answers],
        )
        for n, score in zip(answers, read, strict=True):
            scores[n] = score
        return scores

    def _ratings(
        self, examples: Sequence[Example], responses: Sequence[str]
    ) -> list[dict[str, float]]:
        """Return the details of each response by the LLM judge; none where it does not apply."""
        details: list[dict[str, float]] = [{} for _ in examples]
        if self.llm_judge is None:
            return details
        rated = [n for n, e in enumerate(examples) if e.side != "CD" and not e.is_probe]
        sent = [n for n in rated if has_words(responses[n])]
        pairs = [(examples[n].prompt, responses[n]) for n in sent]
        ratings: dict[int, float | None] = dict.fromkeys(rated, MIN_RATING)
        ratings |= zip(sent, self.llm_judge(pairs) if pairs else [], strict=True)
        for n, rating in ratings.items():
            details[n] = {"unrated": float(rating is None)}
            if rating is not None:
                details[n]["rating"] = rating
        return details

    def _judge_one(
        self,
        example: Example,
        response: str,
        entailed: float,
        read: float | None,
        ratings: dict[str, float],
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
            metric = self.faithfulness_metric[example.kind]
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
        if ratings:
            details |= ratings
            rating = ratings.get("rating")
            span = MAX_RATING - MIN_RATING
            instruction = None if rating is None else (rating - MIN_RATING) / span
        if not has_words(response):
            # Explicit, because a reference such as "the" normalises to "" and would match exactly.
            task, faithfulness, instruction = (
                None if score is None else 0.0 for score in (task, faithfulness, instruction)
            )
            details = dict.fromkeys(details, 0.0) | {"empty": 1.0}
        return Judgement(task, faithfulness, instruction, details)


def check_empty_share(judgements: Sequence[Judgement], settings: Judging, title: str) -> None:
    """Raise UserError if too many responses are empty."""
    empty = sum(judgement.details["empty"] for judgement in judgements)
    if empty > settings.max_empty_share * len(judgements):
        raise UserError(
            f"{title}: {empty:.0f} of {len(judgements)} responses are empty; a share of "
            f"{settings.max_empty_share} is allowed (judging.max_empty_share)"
        )


def _summac_texts(example: Example, response: str) -> tuple[list[str], list[str]]:
    """Return the sentences of context and response that SummaC-ZS compares."""
    if example.kind == "instruction":
        return [], []
    context = scored_sentences(example.context)
    if example.kind == "extractive":
        return context, statements(example.prompt, example.context, response)
    return context, scored_sentences(response)
