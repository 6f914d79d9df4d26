"""Rows of public data sets as Examples: one prompt for each kind, whoever published the row."""

from collections.abc import Sequence

from reproduce.schema import Example
from reproduce.utils.files import UnusableFile, text_id

QUESTION = "{context}\n\nQuestion: {question}"
# No length is promised: gold summaries run from one line to four.
SUMMARY = "{context}\n\nWrite a short summary of the text above."


MOST_REFUSED = 0.01
"""Share of a source's rows that may not be in their layout."""


class Unparsed(ValueError):
    """A row that is not in the layout that its parser expects."""


def answer(
    dataset: str, context: str, question: str, answers: Sequence[str], group: str = ""
) -> Example:
    """Return an extractive example; it is of the group of its context where none is given.

    Raises Unparsed for an empty text.
    """
    context, question = clean(context), clean(question)
    return Example(
        dataset=dataset,
        kind="extractive",
        prompt=QUESTION.format(context=context, question=question),
        response=clean(answers[0]),
        context=context,
        references=tuple(dict.fromkeys(answers)),
        group=group or text_id(context),
    )


def summary(dataset: str, context: str, summaries: Sequence[str]) -> Example:
    """Return an abstractive example; raise Unparsed for an empty text."""
    context = clean(context)
    return Example(
        dataset=dataset,
        kind="abstractive",
        prompt=SUMMARY.format(context=context),
        response=clean(summaries[0]),
        context=context,
        references=tuple(dict.fromkeys(summaries)),
        group=text_id(context),
    )


def instruction(dataset: str, prompt: str, output: str) -> Example:
    """Return an example without context; raise Unparsed for an empty prompt."""
    prompt = clean(prompt)
    references = (output,) if output else ()
    return Example(
        dataset, "instruction", prompt, output, references=references, group=text_id(prompt)
    )


def clean(text: str) -> str:
    """Return the text with Unix line ends and bare edges; Unparsed if nothing is left."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise Unparsed("an empty prompt, context, question or answer")
    return text


def fits(
    example: Example,
    context_words: int | None,
    response_words: int | None,
    prompt_bytes: int | None = None,
) -> bool:
    """Return whether context and gold response have few enough words, and the prompt bytes.

    None is no bound.
    """
    bounds = (
        (len(example.context.split()), context_words),
        (len(example.response.split()), response_words),
        (len(example.prompt.encode()), prompt_bytes),
    )
    return all(most is None or length <= most for length, most in bounds)


def refuse_unread(source: str, refused: int, total: int, fault: str, first: str) -> None:
    """Raise UnusableFile where more than MOST_REFUSED of a source's rows, or all, are refused.

    `fault` says what is wrong with them, `first` what the first of them is ("" for none).
    """
    if refused > MOST_REFUSED * total or not total:
        raise UnusableFile(
            f"{source}: {refused} of {total} rows {fault}, more than {MOST_REFUSED:.0%} or no row "
            f"at all; first: {first or 'none'}"
        )
