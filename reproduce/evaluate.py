"""Responses of a model to the evaluation sets, each with its judgement."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from reproduce.config import Judging, Params
from reproduce.determinism import named_seed
from reproduce.examples import Example
from reproduce.generate import GREEDY, respond
from reproduce.judges import Entailment, judge
from reproduce.judges.faithfulness import sentences

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Row = dict[str, Any]


class TooMuchLost(Exception):
    """A run with more empty responses than its configuration allows."""


def entailment_model(settings: Judging) -> Entailment:
    """Return the entailment model that a profile names."""
    if settings.entailment == "symbolic":
        from reproduce.world.entailment import symbolic_entailment

        return symbolic_entailment
    from reproduce.judges.lexical import lexical_entailment

    return lexical_entailment


def evaluate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    params: Params,
    seed: int,
) -> list[Row]:
    """Return one row an example: greedy response and judgement, in the order of `examples`."""
    stream = named_seed("evaluation", seed)
    texts = respond(model, tokenizer, examples, GREEDY, params.generation, stream)
    rows = [
        {"dataset": e.dataset, "example": e.id, "response": _answer(e, found[0])}
        for e, found in zip(examples, texts, strict=True)
    ]
    return judged(rows, {e.id: e for e in examples}, entailment_model(params.judging))


def _answer(example: Example, response: str) -> str:
    # Plain text is continued without end; what answers a probe is the sentence begun.
    found = sentences(response)
    return found[0] if example.raw and found else response


def judged(rows: Iterable[Row], examples: dict[str, Example], entailment: Entailment) -> list[Row]:
    """Return `rows` with their judgements; equal responses to one example are judged once."""
    rows = list(rows)
    pairs = sorted({(row["example"], row["response"]) for row in rows})
    judgements = judge(
        [examples[name] for name, _ in pairs], [response for _, response in pairs], entailment
    )
    found = dict(zip(pairs, judgements, strict=True))
    return [{**row, **vars(found[row["example"], row["response"]])} for row in rows]


def refuse_lost(rows: Sequence[Row], settings: Judging, title: str) -> None:
    """Raise TooMuchLost when more than the allowed share of the responses is empty."""
    empty = sum(not row["response"] for row in rows)
    if empty > settings.max_empty_share * len(rows):
        raise TooMuchLost(
            f"{title}: {empty} of {len(rows)} responses are empty; allowed is a share of "
            f"{settings.max_empty_share} (judging.max_empty_share)"
        )
