"""Rows of the hub's data sets, in their publishers' layouts, turned into Examples."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from reproduce.config.data import Layout
from reproduce.data.rows import answer, clean, instruction, summary
from reproduce.schema import Example, Side

Row = Mapping[str, Any]


class LeftOut(Exception):
    """A row that the study leaves out by rule: an inherent context, or no answer in the text."""


def example(layout: Layout, dataset: str, row: Row) -> Example:
    """Return the Example that a row holds.

    Raises LeftOut for a row that is left out by rule, and Unparsed, KeyError, IndexError,
    TypeError or AttributeError for one that is not in its layout.
    """
    return _PARSERS[layout][1](dataset, row)


def side(layout: Layout) -> Side:
    """Return the objective that the rows of a layout belong to."""
    return _PARSERS[layout][0]


def _alpaca(dataset: str, row: Row) -> Example:
    if row["input"].strip():
        raise LeftOut("an input beside the instruction")
    return instruction(dataset, row["instruction"], clean(row["output"]))


def _dolly(dataset: str, row: Row) -> Example:
    if row["context"].strip():
        raise LeftOut("a context beside the instruction")
    return instruction(dataset, row["instruction"], clean(row["response"]))


def _sharegpt(dataset: str, row: Row) -> Example:
    # The first exchange: what follows depends on what was said before.
    turns = row["conversations"][:2]
    if [turn["from"] for turn in turns] != ["human", "gpt"]:
        raise LeftOut("a conversation that does not begin with a prompt and its response")
    return instruction(dataset, turns[0]["value"], clean(turns[1]["value"]))


_PARAGRAPH_MARKS = re.compile(r"\[(?:PAR|TLE|DOC|SEP)\]|</?(?:P|Li|Ul|Ol|Table|Tr|Td|Th|Dl|Dd|Dt)>")


def _mrqa_nq(dataset: str, row: Row) -> Example:
    if row["subset"] != "NaturalQuestionsShort":
        raise LeftOut("a row of another data set of MRQA")
    context = " ".join(_PARAGRAPH_MARKS.sub(" ", row["context"]).split())
    answers = [" ".join(each.split()) for each in row["answers"]]
    return answer(dataset, context, row["question"], answers)


def _cnn_dailymail(dataset: str, row: Row) -> Example:
    # Highlights are tokenised: " ." ends each line.
    highlights = re.sub(r" +\.$", ".", row["highlights"], flags=re.MULTILINE)
    return summary(dataset, row["article"], [highlights])


def _ms_marco(dataset: str, row: Row) -> Example:
    passages = row["passages"]
    chosen = [
        text
        for text, selected in zip(passages["passage_text"], passages["is_selected"], strict=True)
        if selected
    ]
    context = "\n".join(chosen)
    # Answers are written by people; only one that stands in the text can be held against it.
    stated = [each for each in row["answers"] if each.strip() and each.lower() in context.lower()]
    if not stated:
        raise LeftOut("no answer that stands in a selected passage")
    return answer(dataset, context, row["query"], stated)


_PARSERS: Mapping[Layout, tuple[Side, Callable[[str, Row], Example]]] = {
    "alpaca": ("IF", _alpaca),
    "dolly": ("IF", _dolly),
    "sharegpt": ("IF", _sharegpt),
    "self-instruct": ("IF", _alpaca),
    "mrqa-nq": ("CD", _mrqa_nq),
    "cnn-dailymail": ("CD", _cnn_dailymail),
    "ms-marco": ("CD", _ms_marco),
}
