"""Verifiable instructions: checkers decide from the text of the response alone.

An instruction is {"id": a name in `CHECKERS`, **arguments}, all plain JSON values; an argument that
is None counts as absent, because Arrow tables pad with None. A response without a letter or digit
follows no instruction.
"""

import inspect
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from reproduce.judges.checkers import CHECKERS, is_json
from reproduce.judges.text import has_words, plain_quotes

_validated = cache(validate_call(config=ConfigDict(strict=True, str_strip_whitespace=True)))


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
    try:
        _validated(checker)("", **arguments)
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
        allowed = ", ".join([*inspect.signature(checker).parameters][1:]) or "none"
        raise ValueError(f"{dict(instruction)}: {wrong} (its arguments: {allowed})") from None
    arguments = {key: _plain(value) for key, value in arguments.items()}

    def check(response: str) -> bool:
        text = response if checker is is_json else _plain(response)
        return has_words(response) and checker(text, **arguments)

    return check


def _plain(value: Any) -> Any:
    """Return a text, or each of a list, as a reader sees it, without outer white space."""
    if isinstance(value, list):
        return [_plain(text) for text in value]
    if isinstance(value, str):
        return unicodedata.normalize("NFC", plain_quotes(value)).strip()
    return value
