"""A span reader: how well a response states what a passage answers to a question.

The reader gives every span of the passage the probability that it is the answer (as the models of
SQuAD do: Devlin et al., NAACL 2019). A response is scored by the probability of the spans that it
states. It reads a question once for all responses, and a whole passage, not one sentence of it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reproduce.judges.nli import batches_of_width, pad_batch
from reproduce.judges.task import normalise

if TYPE_CHECKING:
    import torch

Span = tuple[float, list[str]]
"""The probability that a span of the passage is the answer, and its normalised tokens."""

MAX_LENGTH, STRIDE = 256, 64
"""Tokens of question and passage together; a longer passage is read in windows that share 64."""
MAX_QUESTION, MAX_SPAN, TOP = 64, 24, 20
"""Tokens of a question, tokens of a span, and spans that are kept of a passage."""
FIELDS = ("input_ids", "token_type_ids")
MASKED = -1e4

FUNCTION_WORDS = frozenset(
    "is are was were be been being am do does did has have had will would can could may might must "
    "should in on at by to for from of with as and or that this these those it its there they them "
    "he him she his her their which who whom whose what when where how why so because according "
    "answer question passage text context correct".split()
)
"""Words that put an answer into a sentence, and state nothing of their own."""
NEGATIONS = frozenset("not no never none neither nor cannot cant wont nothing nobody".split()) | {
    f"{verb}nt"  # `normalise` makes "isn't" one token.
    for verb in "is are was were do does did has have had would could should must might".split()
}


class Reader:
    """A reader of English passages."""

    def __init__(self, folder: Path) -> None:
        """Load the model and the tokenizer in `folder`."""
        import torch
        from transformers import AutoTokenizer

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = load_span_model(folder).eval().to(device)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

    def score(
        self, questions: Sequence[str], contexts: Sequence[str], answers: Sequence[str]
    ) -> list[float]:
        """Return for each answer its expected credit, 0 to 1; see `credit`."""
        pairs = list(zip(questions, contexts, strict=True))
        distinct = list(dict.fromkeys(pairs))
        spans = dict(zip(distinct, self.spans(distinct), strict=True))
        return [
            min(1.0, sum(p * credit(span, pair[0], answer) for p, span in spans[pair]))
            for pair, answer in zip(pairs, answers, strict=True)
        ]

    def spans(self, pairs: Sequence[tuple[str, str]]) -> list[list[Span]]:
        """Return the most probable spans for each (question, passage), at most TOP."""
        import torch

        if not pairs:
            return []
        encoded = encode(self.tokenizer, pairs)
        spans: list[list[Span]] = [[] for _ in pairs]
        totals: list[list[float]] = [[] for _ in pairs]
        for chosen in batches_of_width([len(ids) for ids in encoded["input_ids"]]):
            tokens = [{name: encoded[name][row] for name in FIELDS} for row in chosen]
            batch = pad_batch(self.tokenizer, tokens).to(self.model.device)
            with torch.inference_mode():
                scores = span_scores(self.model, batch)[: len(chosen)].flatten(1).cpu()
            best = scores.topk(min(TOP, scores.shape[1]))
            sums = scores.logsumexp(1).tolist()
            for row, values, places, total in zip(
                chosen, best.values.tolist(), best.indices.tolist(), sums, strict=True
            ):
                pair = encoded["overflow_to_sample_mapping"][row]
                offsets, passage = encoded["offset_mapping"][row], pairs[pair][1]
                totals[pair].append(total)
                for value, place in zip(values, places, strict=True):
                    if value > MASKED / 2:
                        first, length = divmod(place, MAX_SPAN)
                        text = passage[offsets[first][0] : offsets[first + length][1]]
                        spans[pair].append((value, normalise(text).split()))
        return [
            [
                (math.exp(score - np.logaddexp.reduce(total)), tokens)
                for score, tokens in sorted(scored, key=lambda item: -item[0])[:TOP]
            ]
            for scored, total in zip(spans, totals, strict=True)
        ]


def load_span_model(folder: Path) -> Any:
    """Return the fp32 encoder in `folder` with a head of spans, a new one if it has none."""
    import torch
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )


def credit(span: Sequence[str], question: str, answer: str) -> float:
    """Return how well an answer states a span, 0 to 1: the F1 of their tokens.

    Words of the question and FUNCTION_WORDS count for neither, since a sentence repeats them; where
    the span has no others, they count for both. What the answer says in addition to the span counts
    against it, so neither a list of spans nor the whole passage wins. An answer with a negation
    that neither question nor span has says the opposite: 0.
    """
    ignored, tokens = set(normalise(question).split()), Counter(normalise(answer).split())
    if NEGATIONS & tokens.keys() - ignored - set(span):
        return 0.0
    ignored |= FUNCTION_WORDS
    expected = Counter(token for token in span if token not in ignored)
    if not expected:
        ignored = set(FUNCTION_WORDS)
        expected = Counter([token for token in span if token not in ignored] or span)
    shared = (expected & tokens).total()
    if not shared:
        return 0.0
    more = sum(
        count
        for token, count in (tokens - expected).items()
        if token not in ignored and token not in span
    )
    return 2 * shared / (expected.total() + shared + more)


def encode(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> Any:
    """Return the tokens of each (question, passage), in windows where they are too many."""
    limits: dict[str, Any] = {"split_special_tokens": True, "return_offsets_mapping": True}
    questions = [question for question, _ in pairs]
    ends = tokenizer(questions, add_special_tokens=False, truncation=True, max_length=MAX_QUESTION,
                     **limits)["offset_mapping"]  # fmt: skip
    return tokenizer(
        [text[: end[-1][1]] if end else "" for text, end in zip(questions, ends, strict=True)],
        [context for _, context in pairs],
        truncation="only_second", max_length=MAX_LENGTH, stride=STRIDE,
        return_overflowing_tokens=True, **limits,
    )  # fmt: skip


def span_scores(model: Any, batch: Any) -> "torch.Tensor":
    """Return the scores of spans by first token and length - 1, as (rows, tokens, MAX_SPAN).

    Spans outside the passage have a score around MASKED.
    """
    import torch

    output = model(**batch)
    inside = batch["token_type_ids"].bool()
    # The last token of this type is a separator.
    inside = inside & torch.nn.functional.pad(inside[:, 1:], (0, 1))
    starts, ends = (
        logits.masked_fill(~inside, MASKED) for logits in (output.start_logits, output.end_logits)
    )
    ends = torch.nn.functional.pad(ends, (0, MAX_SPAN - 1), value=MASKED)
    return starts[:, :, None] + ends.unfold(1, MAX_SPAN, 1)
