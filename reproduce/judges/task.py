"""Task performance: exact match and token F1 for short answers, ROUGE-L for longer responses."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from reproduce.judges.text import words

_ASCII_MARKS = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Return the text as SQuAD compares it (Rajpurkar et al., EMNLP 2016).

    Lower case, without punctuation and the words a, an and the, single spaces. A text that
    consists only of these becomes "". Unlike SQuAD's own script it also removes punctuation
    beyond ASCII, such as dashes and curly quotes, and joins letters with their accents.
    """
    bare = text.lower().translate(_ASCII_MARKS)
    if not bare.isascii():
        bare = unicodedata.normalize("NFC", bare)
        bare = "".join(mark for mark in bare if unicodedata.category(mark)[0] != "P")
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(response: str, references: Sequence[str]) -> float:
    """Return 1.0 if the response equals a reference after both are normalised, else 0.0.

    Source: SQuAD (Rajpurkar et al., EMNLP 2016). Raises ValueError without references.
    """
    return _best(lambda one, other: normalise(one) == normalise(other), response, references)


def token_f1(response: str, references: Sequence[str]) -> float:
    """Return the highest F1, 0 to 1, of the normalised tokens shared with one reference.

    Source: SQuAD (Rajpurkar et al., EMNLP 2016). Without a token in the response or the reference
    it is 1.0 if neither has one, as in SQuAD 2.0. Raises ValueError without references.
    """
    return _best(_token_f1, response, references)


def contains_answer(response: str, answers: Sequence[str]) -> float:
    """Return 1.0 if the response contains one of the answers as whole tokens, else 0.0.

    Texts are normalised as for exact match. Unlike exact match, this accepts long answers.
    """
    tokens = f" {normalise(response)} "
    return float(any(f" {answer} " in tokens for answer in map(normalise, answers) if answer))


def rouge_l(response: str, references: Sequence[str]) -> float:
    """Return the highest ROUGE-L F-measure, 0 to 1, against one reference.

    Source: Lin, 2004, as the rouge_score package computes it for whole texts without stemming;
    tokens are those of `text.words`. Equal texts score 1, also without a token. Raises ValueError
    without references.
    """

    def score(one: str, other: str) -> float:
        same = one.strip() == other.strip()
        return 1.0 if same else float(_rouge().score(other, one)["rougeL"].fmeasure)

    return _best(score, response, references)


def _best(score: Callable[[str, str], float], response: str, references: Sequence[str]) -> float:
    if not references:
        raise ValueError("a response needs at least one reference to be scored against")
    return float(max(score(response, reference) for reference in references))


def _token_f1(response: str, reference: str) -> float:
    ours, theirs = normalise(response).split(), normalise(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


@cache
def _rouge() -> Any:
    # rouge_score takes seconds to import, and most importers of this module never call it.
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import Tokenizer

    class Words(Tokenizer):  # type: ignore[misc]
        def tokenize(self, text: str) -> list[str]:
            return words(text)

    return RougeScorer(["rougeL"], tokenizer=Words())
