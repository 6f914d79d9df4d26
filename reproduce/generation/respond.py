"""Responses of a model to the evaluation sets, each with its judgement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reproduce.config import Params
from reproduce.generation.generate import GREEDY, respond
from reproduce.judges.faithfulness import sentences
from reproduce.judges.panel import Judges, judged
from reproduce.schema import Example
from reproduce.utils.determinism import named_seed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Row = dict[str, Any]


def evaluate(
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    params: Params,
    judges: Judges,
    seed: int,
    model: "PreTrainedModel",
) -> list[Row]:
    """Return one row an example: greedy response and judgement, in the order of `examples`."""
    stream = named_seed("evaluation", seed)
    found = respond(model, tokenizer, examples, GREEDY, params.generation, stream)
    rows = [
        {"dataset": e.dataset, "example": e.id, "response": _answer(e, text), "ended": ended}
        for e, ((text, ended),) in zip(examples, found, strict=True)
    ]
    return judged(rows, {e.id: e for e in examples}, judges)


def _answer(example: Example, response: str) -> str:
    # Plain text is continued without end; what answers a probe is the sentence begun.
    found = sentences(response)
    return found[0] if example.raw and found else response
