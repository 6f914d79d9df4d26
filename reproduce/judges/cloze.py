"""Whether a passage supports a statement: the span reader is asked for each name and number of it.

The statement with "who or what" in the place of a name is a question, and the passage's answer to
it should be that name (a cloze test; QuestEval of Scialom et al., EMNLP 2021, generates such
questions). It sees the usual errors of summaries, a wrong speaker, name or number, in the light of
the whole passage. It does not see a negation, nor a wrong verb.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from reproduce.judges.faithfulness import question_of
from reproduce.judges.reader import FUNCTION_WORDS, Reader
from reproduce.judges.task import normalise
from reproduce.judges.text import sentences
from reproduce.schema import Example

PLACEHOLDER = "who or what"
"""What stands for a name or number in a statement that is turned into a question."""
UNKNOWN = 0.5
"""The score of a statement without a name or number."""
_ENTITY = re.compile(r"#\w+#|\b[A-Z][\w-]+(?: [A-Z][\w-]+)*|\b\d[\d.,:]*\b")


class PassageEntailment:
    """A judge of statements about English passages."""

    def __init__(self, folder: Path) -> None:
        """Load the reader in `folder`."""
        self.reader = Reader(folder)

    def score(self, passages: Sequence[str], statements: Sequence[str]) -> list[float]:
        """Return for each statement, 0 to 1, how well the passage supports its weakest name.

        A statement that says nothing scores 0, and one without a name or number UNKNOWN.
        """
        questions = [clozes(statement) for statement in statements]
        rows = [
            (question, passage, entity)
            for passage, own in zip(passages, questions, strict=True)
            for question, entity in own
        ]
        scores = iter(self.reader.score(*zip(*rows, strict=True)) if rows else [])
        return [
            min((next(scores) for _ in own), default=UNKNOWN if normalise(statement) else 0.0)
            for statement, own in zip(statements, questions, strict=True)
        ]

    def judge(self, examples: Sequence[Example], responses: Sequence[str]) -> list[float | None]:
        """Return the score, 0 to 1, of each context-dependent response; None for the others.

        An answer is read with its question. A summary has the mean of its sentences.
        """
        pairs = list(zip(examples, responses, strict=True))
        scores: list[float | None] = [None] * len(pairs)
        answers = [n for n, (example, _) in enumerate(pairs) if example.kind == "extractive"]
        answer_scores = self.reader.score(
            [question_of(examples[n].prompt, examples[n].context) for n in answers],
            [examples[n].context for n in answers],
            [responses[n] for n in answers],
        )
        summary_sentences = [
            (n, sentence)
            for n, (example, response) in enumerate(pairs)
            if example.kind == "abstractive"
            for sentence in sentences(response) or [""]
        ]
        passages = [examples[n].context for n, _ in summary_sentences]
        sentence_scores = self.score(passages, [sentence for _, sentence in summary_sentences])
        by_response: defaultdict[int, list[float]] = defaultdict(list)
        for (n, _), score in zip(summary_sentences, sentence_scores, strict=True):
            by_response[n].append(score)
        for n, score in zip(answers, answer_scores, strict=True):
            scores[n] = score
        for n, parts in by_response.items():
            scores[n] = sum(parts) / len(parts)
        return scores


def clozes(statement: str) -> list[tuple[str, str]]:
    """Return (question, entity) for each name and number of a statement."""
    questions = []
    for match in _ENTITY.finditer(statement):
        entity = match[0].rstrip(".,:")
        if normalise(entity) and entity.lower() not in FUNCTION_WORDS:
            end = match.start() + len(entity)
            question = f"{statement[: match.start()]}{PLACEHOLDER}{statement[end:]}"
            questions.append((question, entity))
    return questions
