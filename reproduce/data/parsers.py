"""Public rows, in the layouts that their publishers chose, turned into Examples."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.data.rows import (
    Unparsed,
    answer,
    clean,
    instruction,
    refuse_unread,
    summary,
)
from reproduce.schema import Example
from reproduce.utils.files import UnusableFile

Row = Mapping[str, Any]
Parser = Callable[[str, Row], Example]

END_OF_TEXT = "<|endoftext|>"


class CutOff(ValueError):
    """A row whose context its publisher cut short, so the gold may say more than it does."""


@dataclass(frozen=True)
class Parsed:
    """The examples of one file, with the number of rows that gave none.

    Attributes:
        examples: in the order of the file.
        refused: rows that do not parse.
        cut_off: summaries of a context that ends in "..."; their gold is not faithful to it.
    """

    examples: list[Example]
    refused: int
    cut_off: int


def parse(source: Path, dataset: str) -> Parsed:
    """Return the examples of `source`, a file of `dataset`, one of `FORMATS`.

    Rows that the paper leaves out by rule (unanswerable, or an instruction with an inherent
    context) are not counted. Raises UnusableFile, naming the file and its first bad row, when
    more than `rows.MOST_REFUSED` of the rows do not parse or when there is no row at all.
    """
    rows_of, parser = FORMATS[dataset]
    examples: list[Example] = []
    refused: list[str] = []
    cut_off = 0
    for number, row in enumerate(_readable(source, rows_of), 1):
        try:
            examples.append(parser(dataset, row))
        except CutOff:
            cut_off += 1
        except (Unparsed, KeyError, IndexError, TypeError, AttributeError) as error:
            refused.append(f"row {number} ({type(error).__name__}: {error})")
    total = len(examples) + cut_off + len(refused)
    first = refused[0] if refused else ""
    refuse_unread(str(source), len(refused), total, f"do not parse as {dataset}", first)
    return Parsed(examples, len(refused), cut_off)


def _readable(source: Path, rows_of: Callable[[str], Iterator[Row]]) -> list[Row]:
    try:
        return list(rows_of(source.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnusableFile(f"{source}: unreadable ({type(error).__name__}: {error})") from error


# Readers: the text of a file -> its rows.


def _json_lines(text: str) -> Iterator[Row]:
    # Not splitlines(): that also breaks at marks which JSON allows inside a string.
    return (json.loads(line) for line in text.split("\n") if line.strip())


def _answerable(text: str) -> Iterator[Row]:
    for article in json.loads(text)["data"]:
        for paragraph in article["paragraphs"]:
            shared = {"title": article["title"], "context": paragraph["context"]}
            for question in paragraph["qas"]:
                if not question["is_impossible"]:
                    yield {**shared, **question}


def _alpaca_rows(text: str) -> Iterator[Row]:
    return (row for row in json.loads(text) if not row["input"].strip())


def _instance_rows(text: str) -> Iterator[Row]:
    for row in _json_lines(text):
        instance = row["instances"][0]
        if not instance["input"].strip():
            yield {"instruction": row["instruction"], "output": instance["output"]}


def _turn_rows(text: str) -> Iterator[Row]:
    # "extraction" prompts carry the text that they ask about: an inherent context.
    return (row for row in _json_lines(text) if row["category"] != "extraction")


# Parsers: a row -> an Example.


def _squad(dataset: str, row: Row) -> Example:
    answers = Counter(answer["text"].strip() for answer in row["answers"])
    answers.pop("", None)
    if not answers:
        raise Unparsed("an answerable question without an answer")
    return answer(dataset, row["context"], row["question"], list(answers), row["title"])


def _t0_answer(layout: str) -> Parser:
    def parser(dataset: str, row: Row) -> Example:
        found = _match(layout, row)
        response = _completion(row)
        if response.lower() not in found["context"].lower():
            raise Unparsed(f"the answer {response!r} is not in the context")
        return answer(dataset, found["context"], found["question"], [response])

    return parser


def _t0_summary(layout: str) -> Parser:
    def parser(dataset: str, row: Row) -> Example:
        found = _match(layout, row)
        # CNN/DailyMail's highlights are tokenised: " ." ends each line.
        response = re.sub(r" +\.$", ".", _completion(row), flags=re.MULTILINE)
        if found["context"].rstrip().endswith("..."):
            raise CutOff
        return summary(dataset, found["context"], [response])

    return parser


def _dialogsum(dataset: str, row: Row) -> Example:
    keys = ("summary",) if "summary" in row else ("summary1", "summary2", "summary3")
    return summary(dataset, row["dialogue"], [row[key].strip() for key in keys])


def _instruction_row(dataset: str, row: Row) -> Example:
    return instruction(dataset, row["instruction"], clean(row["output"]))


def _turn(dataset: str, row: Row) -> Example:
    return instruction(dataset, row["turns"][0], (row.get("reference") or [""])[0].strip())


def _match(layout: str, row: Row) -> dict[str, str]:
    found = re.fullmatch(layout, row["prompt"], re.DOTALL)
    if found is None:
        raise Unparsed(f"the prompt does not match {layout!r}")
    return found.groupdict()


def _completion(row: Row) -> str:
    text: str = row["completion"]
    if not text.endswith(END_OF_TEXT):
        raise Unparsed(f"the completion does not end in {END_OF_TEXT!r}")
    return text.removesuffix(END_OF_TEXT).strip()


ADVERSARIAL_QA = r'Question: "(?P<question>.*?)"\n\nContext: "(?P<context>.*)"\n\nAnswer:\n'
QUOREF = (
    r"(?P<question>.*?)\n\nAnswer the above question based on the context below:"
    r"\n\n(?P<context>.*)\n"
)
SUMMARIZE = r"Summarize: (?P<context>.*)\n"
ARTICLE = r"Summarise the article:\n\n(?P<context>.*)\n"

FORMATS: dict[str, tuple[Callable[[str], Iterator[Row]], Parser]] = {
    "squad": (_answerable, _squad),
    "adversarial-qa": (_json_lines, _t0_answer(ADVERSARIAL_QA)),
    "quoref": (_json_lines, _t0_answer(QUOREF)),
    "dialogsum": (_json_lines, _dialogsum),
    "xsum": (_json_lines, _t0_summary(SUMMARIZE)),
    "samsum": (_json_lines, _t0_summary(SUMMARIZE)),
    "cnn-dailymail": (_json_lines, _t0_summary(ARTICLE)),
    "alpaca": (_alpaca_rows, _instruction_row),
    "self-instruct": (_instance_rows, _instruction_row),
    "user-oriented": (_instance_rows, _instruction_row),
    "vicuna": (_turn_rows, _turn),
    "mt-bench": (_turn_rows, _turn),
}
"""For each data set the reader of its files and the parser of their rows."""
