"""Rows of public data sets, in the formats of their publishers, turned into Examples."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reproduce.config import TextSet
from reproduce.judges.instructions import bind
from reproduce.judges.text import has_words
from reproduce.schema import Example, Kind, Side
from reproduce.utils.files import short_hash

Row = Mapping[str, Any]
Parser = Callable[[str, Row], Example]
"""Takes the name of the data set and a row. Raises Skipped, or ValueError, LookupError, TypeError
or AttributeError for a row that is not in its format."""


class Skipped(Exception):
    """A row that a rule of the study leaves out; its argument names the rule, for the counts."""


# What all formats end in.


def _question(
    dataset: str, context: str, question: str, answers: Sequence[str], group: str = ""
) -> Example:
    context, question = _clean(context), _clean(question)
    prompt = f"{context}\n\nQuestion: {question}"
    return _with_context(dataset, "extractive", prompt, context, answers, group)


def _summary(dataset: str, context: str, summaries: Sequence[str]) -> Example:
    context = _clean(context)
    # No length is promised: reference summaries run from one line to four.
    prompt = f"{context}\n\nWrite a short summary of the text above."
    return _with_context(dataset, "abstractive", prompt, context, summaries)


def _with_context(
    dataset: str, kind: Kind, prompt: str, context: str, texts: Sequence[str], group: str = ""
) -> Example:
    references = tuple(dict.fromkeys(texts))
    _check_words(texts[0])
    group = group or short_hash(context)
    return Example(dataset, kind, prompt, _clean(texts[0]), context, references, split_group=group)


def _instruction(dataset: str, prompt: str, response: str) -> Example:
    if response and response.strip().casefold() in PLACEHOLDERS:
        raise Skipped("placeholder as response")
    if response:
        _check_words(response)
    prompt, references = _clean(prompt), (response,) if response else ()
    group = short_hash(prompt)
    return Example(dataset, "instruction", prompt, response, "", references, split_group=group)


def _check_words(response: str) -> None:
    """Raise Skipped for a response that says nothing."""
    if not has_words(response):
        raise Skipped("response without a word")


def _clean(text: str) -> str:
    """Return the text with Unix line ends and bare edges; ValueError if nothing is left."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise ValueError("an empty prompt, context, question or answer")
    return text


def _detokenized(highlights: str) -> str:
    """Return CNN/DailyMail's highlights without the space before the end of each line."""
    return re.sub(r" +\.$", ".", highlights, flags=re.MULTILINE)


# Questions.


def _squad(dataset: str, row: Row) -> Example:
    if row["is_impossible"]:
        raise Skipped("unanswerable")
    answers = dict.fromkeys(answer["text"].strip() for answer in row["answers"])
    answers.pop("", None)
    if not answers:
        raise ValueError("an answerable question without an answer")
    return _question(dataset, row["context"], row["question"], list(answers), row["title"])


def _mrqa_nq(dataset: str, row: Row) -> Example:
    if row["subset"] != "NaturalQuestionsShort":
        raise Skipped("of another set")
    tags = r"\[(?:PAR|TLE|DOC|SEP)\]|</?(?:P|Li|Ul|Ol|Table|Tr|Td|Th|Dl|Dd|Dt)>"
    context = " ".join(re.sub(tags, " ", row["context"]).split())
    answers = [" ".join(answer.split()) for answer in row["answers"]]
    answers = _stated(answers, context)
    return _question(dataset, context, row["question"], answers)


def _ms_marco(dataset: str, row: Row) -> Example:
    passages = row["passages"]
    pairs = zip(passages["passage_text"], passages["is_selected"], strict=True)
    context = "\n".join(text for text, is_selected in pairs if is_selected)
    # Annotators wrote the answers; faithfulness can be judged only of those in the text.
    return _question(dataset, context, row["query"], _stated(row["answers"], context))


def _stated(answers: Sequence[str], context: str) -> list[str]:
    """Return the answers that the context contains; Skipped if it contains none."""
    stated = [a for a in answers if a.strip() and a.casefold() in context.casefold()]
    if not stated:
        raise Skipped("answer not in the context")
    return stated


def _adversarial_qa(dataset: str, row: Row) -> Example:
    pattern = r'Question: "(?P<question>.*?)"\n\nContext: "(?P<context>.*)"\n\nAnswer:\n'
    fields, answer = _t0_fields(pattern, row)
    answers = _stated([answer], fields["context"])
    return _question(dataset, fields["context"], fields["question"], answers)


def _t0_fields(pattern: str, row: Row) -> tuple[dict[str, str], str]:
    """Return the named fields of a prompt in a template of T0, and its completion."""
    prompt, completion = re.fullmatch(pattern, row["prompt"], re.DOTALL), row["completion"]
    if prompt is None:
        raise ValueError(f"the prompt does not match {pattern!r}")
    if not completion.endswith("<|endoftext|>"):
        raise ValueError("the completion does not end in <|endoftext|>")
    return prompt.groupdict(), completion.removesuffix("<|endoftext|>").strip()


# Summaries.


def _t0_summary(dataset: str, row: Row) -> Example:
    fields, summary = _t0_fields(r"Summarize: (?P<context>.*)\n", row)
    context = fields["context"].rstrip()
    # The publisher cut long texts, so the summary may say more. A short one may end in an ellipsis.
    if context.endswith("...") and len(context.split()) >= TRUNCATED_WORDS:
        raise Skipped("truncated context")
    return _summary(dataset, fields["context"], [_detokenized(summary)])


def _cnn_dailymail(dataset: str, row: Row) -> Example:
    return _summary(dataset, row["article"], [_detokenized(row["highlights"])])


def _dialogsum(dataset: str, row: Row) -> Example:
    keys = ("summary",) if "summary" in row else ("summary1", "summary2", "summary3")
    return _summary(dataset, row["dialogue"], [row[key].strip() for key in keys])


# Instructions. One that comes with a context is no IF example.


def _alpaca(dataset: str, row: Row) -> Example:
    if row["input"].strip().casefold() not in PLACEHOLDERS:
        raise Skipped("with a context")
    return _instruction(dataset, row["instruction"], _clean(row["output"]))


def _seed_task(dataset: str, row: Row) -> Example:
    return _alpaca(dataset, {**row["instances"][0], "instruction": row["instruction"]})


def _dolly(dataset: str, row: Row) -> Example:
    if row["context"].strip():
        raise Skipped("with a context")
    prompt, response = (CITATION.sub("", row[key]) for key in ("instruction", "response"))
    return _instruction(dataset, prompt, _clean(response))


def _sharegpt(dataset: str, row: Row) -> Example:
    # The first exchange: what follows depends on what was said before.
    prompt, response = _first_exchange(row["conversations"])
    if WEB_PAGE.search(prompt + response):
        raise Skipped("text of a web page")
    return _instruction(dataset, prompt, _clean(response))


def _first_exchange(turns: Sequence[Row]) -> tuple[str, str]:
    """Return what the user says first and the answer, a system turn left out."""
    names = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}
    named = [(turn.get("from") or turn["role"], turn) for turn in turns]
    first = [(names.get(role, role), turn) for role, turn in named if role != "system"][:2]
    if [role for role, _ in first] != ["user", "assistant"]:
        raise Skipped("does not begin with an exchange")
    prompt, response = (turn.get("value") or turn["content"] for _, turn in first)
    return prompt, response


def _first_turn(dataset: str, row: Row) -> Example:
    if row["category"] == "extraction":  # The prompt holds the text that it asks about.
        raise Skipped("with a context")
    return _instruction(dataset, row["turns"][0], (row.get("reference") or [""])[0].strip())


def _ifeval(dataset: str, row: Row) -> Example:
    example = _instruction(dataset, row["prompt"], "")
    return replace(example, instructions=_instructions(row))


def _instructions(row: Row) -> tuple[dict[str, Any], ...]:
    """Return the verifiable instructions of a row, in the layout of `Example` or of IFEval."""
    named = zip(row.get("instruction_id_list") or (), row.get("kwargs") or (), strict=True)
    listed = [{"id": name, **(arguments or {})} for name, arguments in named]
    instructions = [
        {key: value for key, value in each.items() if value is not None}
        for each in (*(row.get("instructions") or ()), *listed)
    ]
    for instruction in instructions:
        bind(instruction)
    return tuple(instructions)


PLACEHOLDERS = {"", "<noinput>", "no input", "n/a", "nan", "none", "null"}
"""What some instruction sets have in place of a text, in lower case."""
TRUNCATED_WORDS = 300
"""Shortest context that its publisher cut (XSum in T0's templates: 312 words or more)."""
CITATION = re.compile(r"\[(?:\d{1,3}|citation needed|edit|note \d+)\]")
"""Marks that Dolly's texts kept from Wikipedia."""
WEB_PAGE = re.compile(r"</(?:div|p|span|button)>|&(?:lt|gt|amp|quot|nbsp);|Copy code")
"""Marks of a page that a conversation was copied from; a cleaned copy of ShareGPT has none."""

# Own rows, recognised by their columns.


def own_row(settings: TextSet, dataset: str, row: Row, trains: bool = False) -> Example:
    """Return the example in an own row: messages, or a prompt and a response, of `settings.kind`.

    prompt/response, prompt/completion and Alpaca's instruction/input/output are read as they are.
    Of messages the first exchange counts. A context that the prompt does not hold comes before it.
    A prompt with instructions needs a response only if it `trains`. Raises ValueError for an
    instruction that no checker knows.
    """
    named: Row = {name: row[column] for name, column in settings.columns.items() if column in row}
    row = {**row, **named}
    instructions = _instructions(row)
    context = _own_text(row, "context")
    if "messages" in row:
        prompt, response = _first_exchange(row["messages"])
    elif "prompt" in row:
        prompt = row["prompt"]
        row = {"completion": "", **row} if instructions else row
        response = row["response"] if "response" in row else row["completion"]
    else:
        prompt, response, given = row["instruction"], row["output"], _own_text(row, "input")
        if settings.kind == "instruction":
            prompt = f"{prompt}\n\n{given}" if given else prompt
        else:
            context = context or given
    is_open = bool(instructions) and not response.strip()
    if is_open and trains:
        raise Skipped("without a response")
    prompt, response = _clean(prompt), "" if is_open else _clean(response)
    if (settings.kind == "instruction") == bool(context):
        raise Skipped("with a context" if context else "without a context")
    if context and context not in prompt:
        prompt = f"{context}\n\n{prompt}"
    if not is_open:
        _check_words(response)
    references = row.get("references") or ([] if is_open else [response])
    references = [references] if isinstance(references, str) else references
    group = str(row["group"]) if "group" in row else short_hash(context or prompt)
    return Example(
        dataset, settings.kind or "instruction", prompt, response, context,
        tuple(map(_clean, references)), instructions, split_group=group,
    )  # fmt: skip


def _own_text(row: Row, column: str) -> str:
    text: str = (row.get(column) or "").strip()
    return "" if text.casefold() in PLACEHOLDERS else text.replace("\r\n", "\n")


def side_of(settings: TextSet) -> Side:
    """Return the objective that a data set belongs to."""
    if settings.layout:
        return FORMATS[settings.layout][0]
    return "IF" if settings.kind == "instruction" else "CD"


FORMATS: Mapping[str, tuple[Side, Parser]] = {
    "squad": ("CD", _squad),
    "mrqa-nq": ("CD", _mrqa_nq),
    "ms-marco": ("CD", _ms_marco),
    "t0-adversarial-qa": ("CD", _adversarial_qa),
    "t0-summarize": ("CD", _t0_summary),
    "cnn-dailymail": ("CD", _cnn_dailymail),
    "dialogsum": ("CD", _dialogsum),
    "alpaca": ("IF", _alpaca),
    "self-instruct": ("IF", _alpaca),
    "seed-tasks": ("IF", _seed_task),
    "dolly": ("IF", _dolly),
    "sharegpt": ("IF", _sharegpt),
    "mt-bench": ("IF", _first_turn),
    "ifeval": ("IF", _ifeval),
}
"""Format of rows -> the objective that they belong to, and their parser."""
