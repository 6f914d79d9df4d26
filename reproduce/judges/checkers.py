"""The package's own verifiable instructions: each a function of the text of a response.

They follow IFEval (Zhou et al., 2023), but without downloads and random numbers; docs/metrics.md
lists the differences. IFEval's own ids are in `judges.ifeval`.
"""

import json
import operator
import re
import string
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from reproduce.judges.text import COMMA, has_words, sentences

Checker = Callable[..., bool]

RELATIONS = {
    "at least": operator.ge,
    "at most": operator.le,
    "exactly": operator.eq,
    "less than": operator.lt,
}

_ITEM = re.compile(r"\s*(?P<mark>[*•]|-(?!-))(?P<gap>\s*)(?P<text>\S.*)")
_NUMBERED = re.compile(r"\s*(\d{1,9})[.)]\s+\S")
_LIST_MARK = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]+", re.MULTILINE)
_TITLE = re.compile(r"<<([^<>\n]+)>>")
_PLACEHOLDER = re.compile(r"\[([^\[\]\n]+)\]")
# No white space at the inner edges, so that neither "2 * 3 * 4" nor a bullet is a highlight.
_HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,3})(?=[^*\s])[^*\n]*(?<=[^*\s])\1(?!\*)")
# What may stand before the first and after the last word of a response: quotes and markup.
_BEFORE, _AFTER = r"[\s\"'*_#>]*", string.whitespace + "\"'*_.!?…)"
_FENCE = re.compile(r"```(?:json)?\s(.*)```", re.DOTALL | re.IGNORECASE)


# ---- parts of a response


def _lines(response: str) -> list[str]:
    """Return the lines of a response; an indented one belongs to the list item before it."""
    lines: list[str] = []
    for line in response.split("\n"):
        if lines and line[:1].isspace() and line.strip() and not _is_item(line):
            lines[-1] += f" {line.strip()}"
        elif line.strip():
            lines.append(line)
    return lines


def _is_item(line: str) -> bool:
    return bool(bullet(line) or _NUMBERED.match(line))


def bullet(line: str, mark: str | None = None) -> str | None:
    """Return the text after a line's bullet; "*" needs a space, "-" does not."""
    match = _ITEM.match(line)
    if (
        match
        and match["mark"] == (mark or match["mark"])
        and (match["gap"] or match["mark"] == "-")
    ):
        return match["text"].strip()
    return None


def _bullet_items(response: str, mark: str | None = None) -> list[str]:
    """Return the text after each bullet, or nothing if any line is not a bullet."""
    items = [bullet(line, mark) for line in _lines(response)]
    return [item for item in items if item] if all(items) else []


def _list_items(response: str) -> list[str]:
    """Return the items of bullet lines, or those between the commas of a single line."""
    bullets, lines = _bullet_items(response), _lines(response)
    if bullets or len(lines) != 1:
        return bullets
    parts = [part.strip() for part in COMMA.split(re.sub(r"[.!?]$", "", lines[0].rstrip()))]
    parts[1:] = [re.sub(r"^(?:and|or)\s+", "", part) for part in parts[1:]]
    return [part for part in parts if part]


def paragraphs(response: str) -> list[str]:
    """Return the paragraphs of a response: what empty lines separate."""
    return [part for part in re.split(r"\n\s*\n", response.strip()) if part]


@lru_cache(maxsize=4096)
def _whole_words(phrase: str) -> re.Pattern[str]:
    """Return a pattern for the phrase as whole words, in any case, with any white space."""
    # Underscores are markup here ("_very_"), so they end a word.
    words = r"\s+".join(map(re.escape, phrase.split()))
    left = r"(?<![^\W_])" if re.match(r"\w", phrase) else ""
    right = r"(?![^\W_])" if re.search(r"\w$", phrase) else ""
    return re.compile(left + words + right, re.IGNORECASE)


# ---- checkers, each a function(response, **arguments) -> bool


def _sentences(response: str, n: int, relation: str = "exactly") -> bool:
    # A list number such as "1." is no sentence.
    parts = sentences(_LIST_MARK.sub("", response))
    count = sum(map(has_words, parts))
    return bool(RELATIONS[relation](count, n))


def _words(response: str, n: int, relation: str = "exactly") -> bool:
    # Split at white space, so that "don't" and "well-known" are one word each.
    count = sum(map(has_words, response.split()))
    return bool(RELATIONS[relation](count, n))


def _items(response: str, n: int) -> bool:
    return len(_list_items(response)) == n


def _bullets(response: str, n: int | None = None, mark: str | None = None) -> bool:
    count = len(_bullet_items(response, mark))
    return count > 0 and n in (None, count)


def _numbered(response: str, n: int | None = None) -> bool:
    matches = [_NUMBERED.match(line) for line in _lines(response)]
    numbers = [int(match[1]) for match in matches if match]
    return numbers == list(range(1, len(matches) + 1)) and n in (None, len(matches))


def _starts_with(response: str, phrase: str) -> bool:
    pattern = _BEFORE + _whole_words(phrase).pattern
    return re.match(pattern, response, re.IGNORECASE) is not None


def _ends_with(response: str, phrase: str) -> bool:
    bare = phrase.rstrip(_AFTER)
    if not bare:  # The phrase is itself an end mark.
        return response.rstrip().endswith(phrase)
    pattern = _whole_words(bare).pattern + r"\Z"
    return re.search(pattern, response.rstrip(_AFTER), re.IGNORECASE) is not None


def _includes(response: str, words: list[str]) -> bool:
    return all(_whole_words(word).search(response) for word in words)


def _excludes(response: str, words: list[str]) -> bool:
    return not any(_whole_words(word).search(response) for word in words)


def _frequency(response: str, word: str, n: int, relation: str = "exactly") -> bool:
    return bool(RELATIONS[relation](len(_whole_words(word).findall(response)), n))


def _alphabetical(response: str) -> bool:
    items = [item.casefold() for item in _list_items(response)]
    return len(items) >= 2 and all(first <= second for first, second in pairwise(items))


def _lowercase(response: str) -> bool:
    return not any(map(str.isupper, response))


def _uppercase(response: str) -> bool:
    return not any(map(str.islower, response))


def _no_comma(response: str) -> bool:
    return COMMA.search(response) is None


def _quoted(response: str) -> bool:
    return re.fullmatch(r'"[^"]+"', response.strip()) is not None


def _paragraphs(response: str, n: int) -> bool:
    return len(paragraphs(response)) == n


def _title(response: str) -> bool:
    return any(map(str.strip, _TITLE.findall(response)))


def _json(response: str) -> bool:
    def reject(name: str) -> None:
        raise ValueError(f"{name} is no JSON value, although Python reads it as one")

    fenced = _FENCE.fullmatch(response.strip())
    try:
        json.loads(fenced[1] if fenced else response, parse_constant=reject)
    except (ValueError, RecursionError):  # A model in a loop may open brackets without end.
        return False
    return True


def _placeholders(response: str, n: int) -> bool:
    return sum(map(bool, map(str.strip, _PLACEHOLDER.findall(response)))) >= n


def _highlights(response: str, n: int) -> bool:
    return len(_HIGHLIGHT.findall(response)) >= n


def _postscript(response: str, marker: str = "P.S.") -> bool:
    after = (response[match.end() :] for match in _whole_words(marker).finditer(response))
    return any(map(has_words, after))


CHECKERS: dict[str, Checker] = {
    checker.__name__.removeprefix("_"): checker
    for checker in (
        _sentences, _words, _items, _bullets, _numbered, _starts_with, _ends_with, _includes,
        _excludes, _frequency, _alphabetical, _lowercase, _uppercase, _no_comma, _quoted,
        _paragraphs, _title, _json, _placeholders, _highlights, _postscript,
    )
}  # fmt: skip
"""Instruction id -> checker."""
