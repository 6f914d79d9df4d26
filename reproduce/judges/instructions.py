"""Verifiable instructions: checkers decide from the text of the response alone.

An instruction is {"id": a name in `CHECKERS`, **arguments}, all plain JSON values; an argument that
is None counts as absent, because Arrow tables pad with None. A response without a letter or digit
follows no instruction.
"""

import inspect
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reproduce.judges.checkers import CHECKERS as OWN
from reproduce.judges.checkers import RELATIONS, Checker
from reproduce.judges.ifeval import IFEVAL, LANGUAGES
from reproduce.judges.text import has_words, plain_quotes

CHECKERS: Mapping[str, Checker] = {**OWN, **IFEVAL}
"""Instruction id -> checker."""


def check_strict(response: str, instructions: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return for each instruction whether the response follows it as it is.

    Raises ValueError as `bind` does.
    """
    return [bind(instruction)(response) for instruction in instructions]


def check_loose(response: str, instructions: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return for each instruction whether any of 8 variants of the response follows it.

    The variants are IFEval's (Zhou et al., 2023): the whole response, without its first line,
    without its last, without both; and each of these without any '*'. Raises ValueError as
    `bind` does.
    """
    lines = response.split("\n")
    cuts = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    variants = [response, *cuts]
    variants += [text.replace("*", "") for text in variants]
    return [any(map(bind(instruction), variants)) for instruction in instructions]


def bind(instruction: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return the checker of an instruction: response -> whether it is followed.

    Raises ValueError if the id is unknown, or an argument is missing, unexpected or of a wrong
    value; the message says what is allowed.
    """
    name = instruction.get("id")
    if not isinstance(name, str) or name not in CHECKERS:
        raise ValueError(f"unknown instruction id {name!r}; known: {', '.join(CHECKERS)}")
    checker = CHECKERS[name]
    arguments = {
        key: value for key, value in instruction.items() if key != "id" and value is not None
    }
    signature = inspect.signature(checker)
    try:
        signature.bind("", **arguments)
    except TypeError as error:
        allowed = ", ".join(map(str, list(signature.parameters.values())[1:]))
        raise ValueError(
            f"instruction {name!r}: {error}; allowed: {allowed or 'no argument'}"
        ) from None
    for key, value in arguments.items():
        description, is_valid = _ARGUMENTS[key]
        if not is_valid(value):
            raise ValueError(f"instruction {name!r}: {key} must be {description}, not {value!r}")

    arguments = {key: _plain(value) for key, value in arguments.items()}

    def check(response: str) -> bool:
        text = response if checker is OWN["json"] else _plain(response)
        return has_words(response) and checker(text, **arguments)

    return check


def _plain(value: Any) -> Any:
    """Return a text, or each of a list, as a reader sees it, without outer white space."""
    if isinstance(value, list):
        return [_plain(text) for text in value]
    if isinstance(value, str):
        return unicodedata.normalize("NFC", plain_quotes(value)).strip()
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Any, least: int = 0) -> bool:
    return type(value) is int and value >= least


_COUNT = ("a whole number from 0", _is_count)
_NUMBER = ("a whole number from 1", lambda value: _is_count(value, 1))
_RELATION = (
    f"one of {', '.join(map(repr, RELATIONS))}",
    lambda value: isinstance(value, str) and value in RELATIONS,
)
_TEXT = ("a text that is not empty", _is_text)
_TEXTS = (
    "a list of texts, none of them empty",
    lambda value: isinstance(value, list) and bool(value) and all(map(_is_text, value)),
)
# The allowed values of each argument, in words and as a test, for all checkers.
_ARGUMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("n", "num_sentences", "num_words", "num_placeholders", "num_bullets", "num_highlights",
         "num_sections", "frequency", "let_frequency", "capital_frequency"), _COUNT),
    **dict.fromkeys(("num_paragraphs", "nth_paragraph"), _NUMBER),
    **dict.fromkeys(("relation", "let_relation", "capital_relation"), _RELATION),
    **dict.fromkeys(("words", "keywords", "forbidden_words"), _TEXTS),
    **dict.fromkeys(
        ("word", "phrase", "marker", "keyword", "first_word", "postscript_marker",
         "section_spliter", "prompt_to_repeat", "end_phrase"), _TEXT),
    "mark": ("one of '-', '*'", lambda value: value in ("-", "*")),
    "letter": ("one character", lambda value: _is_text(value) and len(value) == 1),
    "language": (f"one of {', '.join(LANGUAGES)}", lambda value: value in LANGUAGES),
}  # fmt: skip
