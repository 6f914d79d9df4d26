"""Verifiable instructions: named checkers that decide from the response text alone.

In the manner of IFEval (Zhou et al., 2023), but smaller, without downloads or chance. An
instruction is {"id": a name in `CHECKERS`, **arguments}, all plain JSON values; an argument
that is None counts as absent, because Arrow tables pad with None. An empty response follows
no instruction at all.
"""

import inspect
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from reproduce.judges.faithfulness import sentences

Checker = Callable[..., bool]

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "at least": operator.ge,
    "at most": operator.le,
    "exactly": operator.eq,
}

_BULLET = re.compile(r"\s*[-*]\s+(\S.*)")
_NUMBERED = re.compile(r"\s*(\d{1,9})\.\s+\S")
_LIST_MARK = re.compile(r"^[ \t]*(?:[-*]|\d+[.)])[ \t]+", re.MULTILINE)
_TITLE = re.compile(r"<<[^<>\n]*[^<>\s][^<>\n]*>>")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*[^\[\]\s][^\[\]\n]*\]")
# The inner edges are not white space, so that "2 * 3 * 4" and a bullet's mark are no highlight.
_HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,2})(?=[^*\s])[^*\n]*(?<=[^*\s])\1(?!\*)")
_FENCE = re.compile(r"```(?:json)?\s(.*)```", re.DOTALL | re.IGNORECASE)


def follow(response: str, instructions: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return for each instruction whether the response follows it as it stands.

    Raises ValueError for an instruction that `validate` refuses.
    """
    return [_bound(instruction)(response) for instruction in instructions]


def loose(response: str, instructions: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return for each instruction whether any of 8 variants of the response follows it.

    The variants are IFEval's (Zhou et al., 2023): the response whole, without its first line,
    without its last, without both; and each of these without any '*'. Raises ValueError for
    an instruction that `validate` refuses.
    """
    variants = _variants(response)
    return [any(map(_bound(instruction), variants)) for instruction in instructions]


def validate(instruction: Mapping[str, Any]) -> None:
    """Return nothing if the instruction can be checked.

    Raises:
        ValueError: the id is unknown, or an argument is missing, unexpected or of a wrong
            value; the message says what is allowed.
    """
    _bound(instruction)


def _bound(instruction: Mapping[str, Any]) -> Callable[[str], bool]:
    name = instruction.get("id")
    if not isinstance(name, str) or name not in CHECKERS:
        raise ValueError(f"unknown instruction id {name!r}; known: {', '.join(CHECKERS)}")
    checker = CHECKERS[name]
    given = {key: value for key, value in instruction.items() if key != "id" and value is not None}
    _check_arguments(name, checker, given)
    return lambda response: bool(response.strip()) and checker(response, **given)


def _check_arguments(name: str, checker: Checker, given: Mapping[str, Any]) -> None:
    signature = inspect.signature(checker)
    try:
        signature.bind("", **given)
    except TypeError as error:
        allowed = ", ".join(str(each) for each in list(signature.parameters.values())[1:])
        raise ValueError(
            f"instruction {name!r}: {error}; allowed: {allowed or 'no argument'}"
        ) from None
    for key, value in given.items():
        wanted, fits = _ARGUMENTS[key]
        if not fits(value):
            raise ValueError(f"instruction {name!r}: {key} must be {wanted}, not {value!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_relation(value: Any) -> bool:
    return isinstance(value, str) and value in RELATIONS


# What each argument may be, in words and as a test, whatever checker takes it.
_ARGUMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "n": ("a whole number from 0", _is_count),
    "relation": (f"one of {', '.join(map(repr, RELATIONS))}", _is_relation),
    "words": ("a list of texts, none of them empty", _is_texts),
    "word": ("a text that is not empty", _is_text),
    "phrase": ("a text that is not empty", _is_text),
    "marker": ("a text that is not empty", _is_text),
}


def _variants(response: str) -> list[str]:
    lines = response.split("\n")
    kept = (lines, lines[1:], lines[:-1], lines[1:-1])
    whole = [response, *("\n".join(part).strip() for part in kept[1:])]
    return [*whole, *(text.replace("*", "") for text in whole)]


def _lines(response: str) -> list[str]:
    return [line for line in response.splitlines() if line.strip()]


def _bullet_items(response: str) -> list[str]:
    """Return the text after each bullet, or nothing if any line is not a bullet."""
    found = [_BULLET.match(line) for line in _lines(response)]
    return [match[1].strip() for match in found if match] if all(found) else []


def _list_items(response: str) -> list[str]:
    """Return the items of bullet lines, or those between the commas of a single line."""
    bullets, lines = _bullet_items(response), _lines(response)
    if bullets or len(lines) != 1:
        return bullets
    parts = [part.strip() for part in _without_end_mark(lines[0]).split(",")]
    parts[1:] = [re.sub(r"^(?:and|or)\s+", "", part) for part in parts[1:]]
    return [part for part in parts if part]


def _without_end_mark(text: str) -> str:
    return re.sub(r"[.!?]$", "", text.rstrip()).rstrip()


@lru_cache(maxsize=4096)
def _whole(phrase: str) -> re.Pattern[str]:
    """Return a pattern for the phrase as whole words, in any case, with any white space."""
    words = r"\s+".join(map(re.escape, phrase.split()))
    left = r"(?<!\w)" if re.match(r"\w", phrase.strip()) else ""
    right = r"(?!\w)" if re.search(r"\w$", phrase.strip()) else ""
    return re.compile(left + words + right, re.IGNORECASE)


def _sentences(response: str, n: int, relation: str = "exactly") -> bool:
    # A list number such as "1." is no sentence.
    units = sentences(_LIST_MARK.sub("", response))
    return RELATIONS[relation](sum(re.search(r"\w", unit) is not None for unit in units), n)


def _words(response: str, n: int, relation: str = "exactly") -> bool:
    # Between white space, so that "don't" and "well-known" are one word each.
    count = sum(re.search(r"[^\W_]", piece) is not None for piece in response.split())
    return RELATIONS[relation](count, n)


def _items(response: str, n: int) -> bool:
    return len(_list_items(response)) == n


def _bullets(response: str, n: int | None = None) -> bool:
    count = len(_bullet_items(response))
    return count > 0 and n in (None, count)


def _numbered(response: str, n: int | None = None) -> bool:
    found = [_NUMBERED.match(line) for line in _lines(response)]
    numbers = [int(match[1]) for match in found if match]
    return numbers == list(range(1, len(found) + 1)) and n in (None, len(found))


def _starts_with(response: str, phrase: str) -> bool:
    return _whole(phrase).match(response.lstrip()) is not None


def _ends_with(response: str, phrase: str) -> bool:
    wanted = _without_end_mark(phrase)
    if not wanted:  # The phrase is itself an end mark.
        return response.rstrip().endswith(phrase.strip())
    pattern = _whole(wanted).pattern + r"\Z"
    return re.search(pattern, _without_end_mark(response), re.IGNORECASE) is not None


def _includes(response: str, words: list[str]) -> bool:
    return all(_whole(word).search(response) for word in words)


def _excludes(response: str, words: list[str]) -> bool:
    return not any(_whole(word).search(response) for word in words)


def _frequency(response: str, word: str, n: int, relation: str = "exactly") -> bool:
    return RELATIONS[relation](len(_whole(word).findall(response)), n)


def _alphabetical(response: str) -> bool:
    items = [item.casefold() for item in _list_items(response)]
    return len(items) >= 2 and all(first <= second for first, second in pairwise(items))


def _lowercase(response: str) -> bool:
    return response.islower()


def _uppercase(response: str) -> bool:
    return response.isupper()


def _no_comma(response: str) -> bool:
    return "," not in response


def _quoted(response: str) -> bool:
    text = response.strip()
    return len(text) > 2 and text.startswith('"') and text.endswith('"')


def _paragraphs(response: str, n: int) -> bool:
    return sum(bool(part.strip()) for part in re.split(r"\n\s*\n", response)) == n


def _title(response: str) -> bool:
    return _TITLE.search(response) is not None


def _json(response: str) -> bool:
    fenced = _FENCE.fullmatch(response.strip())
    try:
        json.loads(fenced[1] if fenced else response, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # A model that loops can open brackets without end.
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value, though Python's reader takes it")


def _placeholders(response: str, n: int) -> bool:
    return len(_PLACEHOLDER.findall(response)) >= n


def _highlights(response: str, n: int) -> bool:
    return len(_HIGHLIGHT.findall(response)) >= n


def _postscript(response: str, marker: str = "P.S.") -> bool:
    after = (response[match.end() :] for match in _whole(marker).finditer(response))
    return any(re.search(r"\w", text) for text in after)


CHECKERS: dict[str, Checker] = {
    "sentences": _sentences,
    "words": _words,
    "items": _items,
    "bullets": _bullets,
    "numbered": _numbered,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "includes": _includes,
    "excludes": _excludes,
    "frequency": _frequency,
    "alphabetical": _alphabetical,
    "lowercase": _lowercase,
    "uppercase": _uppercase,
    "no_comma": _no_comma,
    "quoted": _quoted,
    "paragraphs": _paragraphs,
    "title": _title,
    "json": _json,
    "placeholders": _placeholders,
    "highlights": _highlights,
    "postscript": _postscript,
}
"""Instruction ids, each with a function(response, **arguments) -> bool."""
