"""Task performance: exact match and token F1 for short answers, ROUGE-L for longer ones."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Return the text as SQuAD compares it (Rajpurkar et al., EMNLP 2016).

    Lower case, without ASCII punctuation and the words a, an and the, single spaces. A text
    of nothing else becomes "".
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(response: str, references: Sequence[str]) -> float:
    """Return 1.0 if the response equals a reference once both are normalised, else 0.0.

    Source: SQuAD (Rajpurkar et al., EMNLP 2016). Raises ValueError without references.
    """
    return _best(_equal, response, references)


def token_f1(response: str, references: Sequence[str]) -> float:
    """Return the highest F1, 0 to 1, of the normalised tokens shared with one reference.

    Source: SQuAD (Rajpurkar et al., EMNLP 2016), with a token counted as often as both sides
    have it. Where a side has no token left, the score is 1.0 if both have none, as SQuAD 2.0
    scores it. Raises ValueError without references.
    """
    return _best(_token_f1, response, references)


def states(response: str, answers: Sequence[str]) -> float:
    """Return 1.0 if the response holds one of the answers as a run of whole tokens, else 0.0.

    Texts are normalised as for exact match; a verbose right answer counts, so that being
    talkative is not mistaken for being wrong.
    """
    tokens = f" {normalise(response)} "
    return float(any(f" {known} " in tokens for known in map(normalise, answers) if known))


def rouge_l(response: str, references: Sequence[str]) -> float:
    """Return the highest ROUGE-L F-measure, 0 to 1, against one reference.

    Source: Lin, 2004, as the rouge_score package computes it over whole texts, without
    stemming; its tokens are runs of a-z and 0-9. Raises ValueError without references.
    """
    return _best(_rouge_l, response, references)


def _best(score: Callable[[str, str], float], response: str, references: Sequence[str]) -> float:
    if not references:
        raise ValueError("a response needs at least one reference to be scored against")
    return max(score(response, reference) for reference in references)


def _equal(response: str, reference: str) -> float:
    return float(normalise(response) == normalise(reference))


def _token_f1(response: str, reference: str) -> float:
    ours, theirs = normalise(response).split(), normalise(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def _rouge_l(response: str, reference: str) -> float:
    return float(_scorer().score(reference, response)["rougeL"].fmeasure)


@cache
def _scorer() -> Any:
    # rouge_score takes seconds to import, and most callers of this module never need it.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)
