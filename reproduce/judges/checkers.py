"""All checkers of verifiable instructions: each a function of the text of a response.

Ids without a colon are the package's own. Ids with a colon are IFEval's (Zhou et al., 2023), with
IFEval's arguments, none of which is drawn at random. docs/metrics.md lists the differences.
"""

import json
import operator
import re
import string
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from reproduce.judges.text import COMMA, has_words, sentences

Checker = Callable[..., bool]

Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Letter = Annotated[str, Field(min_length=1, max_length=1)]
Relation = Literal["at least", "at most", "exactly", "less than"]
# IFEval's, and Chinese.
Language = Literal[
    "ar", "bg", "bn", "de", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "it", "ja", "kn", "ko",
    "ml", "mr", "ne", "pa", "pl", "pt", "ru", "sw", "ta", "te", "th", "uk", "ur", "vi", "zh",
]  # fmt: skip

RELATIONS: Mapping[str, Callable[[int, int], bool]] = {
    "at least": operator.ge, "at most": operator.le,
    "exactly": operator.eq, "less than": operator.lt,
}  # fmt: skip
MIN_CONFIDENCE = 0.04
"""All are equally likely (1/31) where a text says nothing of its language."""
ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")

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
        is_item = _bullet(line) or _NUMBERED.match(line)
        if lines and line[:1].isspace() and line.strip() and not is_item:
            lines[-1] += f" {line.strip()}"
        elif line.strip():
            lines.append(line)
    return lines


def _bullet(line: str, mark: str | None = None) -> str | None:
    """Return the text after a line's bullet; "*" needs a space, "-" does not."""
    match = _ITEM.match(line)
    if match and mark in (None, match["mark"]) and (match["gap"] or match["mark"] == "-"):
        return match["text"].strip()
    return None


def _bullet_items(response: str, mark: str | None = None) -> list[str]:
    """Return the text after each bullet, or nothing if any line is not a bullet."""
    items = [_bullet(line, mark) for line in _lines(response)]
    return [item for item in items if item] if all(items) else []


def _list_items(response: str) -> list[str]:
    """Return the items of bullet lines, or those between the commas of a single line."""
    bullets, lines = _bullet_items(response), _lines(response)
    if bullets or len(lines) != 1:
        return bullets
    parts = [part.strip() for part in COMMA.split(re.sub(r"[.!?]$", "", lines[0].rstrip()))]
    parts[1:] = [re.sub(r"^(?:and|or)\s+", "", part) for part in parts[1:]]
    return [part for part in parts if part]


@lru_cache(maxsize=4096)
def _whole_words(phrase: str) -> re.Pattern[str]:
    """Return a pattern for the phrase as whole words, in any case, with any white space."""
    # Underscores are markup here ("_very_"), so they end a word.
    words = r"\s+".join(map(re.escape, phrase.split()))
    left = r"(?<![^\W_])" if re.match(r"\w", phrase) else ""
    right = r"(?![^\W_])" if re.search(r"\w$", phrase) else ""
    return re.compile(left + words + right, re.IGNORECASE)


def _count(response: str, text: str) -> int:
    """Return how often a text occurs, in any case, also within words."""
    return response.lower().count(text.lower())


def _divided(response: str, divider: str) -> list[str]:
    """Return the parts between dividers, [] if one is empty; one may also open or close."""
    parts = [part.strip() for part in response.split(divider)]
    parts = parts[not parts[0] : len(parts) - (not parts[-1])]
    return parts if all(parts) else []


@cache
def _identifier() -> Any:
    """Return a naive Bayes model that knows these languages only: so few words tell them apart."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=MIN_CONFIDENCE
    )
    identifier.set_languages(get_args(Language))
    return identifier


# ---- checkers, each a function(response, **arguments) -> bool; first the package's own


def _sentences(response: str, n: Count, relation: Relation = "exactly") -> bool:
    # A list number such as "1." is no sentence.
    parts = sentences(_LIST_MARK.sub("", response))
    return RELATIONS[relation](sum(map(has_words, parts)), n)


def _words(response: str, n: Count, relation: Relation = "exactly") -> bool:
    # Split at white space, so that "don't" and "well-known" are one word each.
    return RELATIONS[relation](sum(map(has_words, response.split())), n)


def _items(response: str, n: Count) -> bool:
    return len(_list_items(response)) == n


def _bullets(response: str, n: Count | None = None, mark: Literal["-", "*"] | None = None) -> bool:
    count = len(_bullet_items(response, mark))
    return count > 0 and n in (None, count)


def _numbered(response: str, n: Count | None = None) -> bool:
    matches = [_NUMBERED.match(line) for line in _lines(response)]
    numbers = [int(match[1]) for match in matches if match]
    return numbers == list(range(1, len(matches) + 1)) and n in (None, len(matches))


def _starts_with(response: str, phrase: Text) -> bool:
    pattern = _BEFORE + _whole_words(phrase).pattern
    return re.match(pattern, response, re.IGNORECASE) is not None


def _ends_with(response: str, phrase: Text) -> bool:
    bare = phrase.rstrip(_AFTER)
    if not bare:  # The phrase is itself an end mark.
        return response.rstrip().endswith(phrase)
    pattern = _whole_words(bare).pattern + r"\Z"
    return re.search(pattern, response.rstrip(_AFTER), re.IGNORECASE) is not None


def _includes(response: str, words: Texts) -> bool:
    return all(_whole_words(word).search(response) for word in words)


def _excludes(response: str, words: Texts) -> bool:
    return not any(_whole_words(word).search(response) for word in words)


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


# ---- IFEval's; `judges.instructions` gives them texts without outer white space


def _existence(response: str, keywords: Texts) -> bool:
    return all(_count(response, keyword) for keyword in keywords)


def _frequency(response: str, keyword: Text, frequency: Count, relation: Relation) -> bool:
    return RELATIONS[relation](_count(response, keyword), frequency)


def _forbidden_words(response: str, forbidden_words: Texts) -> bool:
    return _excludes(response, forbidden_words)


def _letters(response: str, letter: Letter, let_frequency: Count, let_relation: Relation) -> bool:
    return RELATIONS[let_relation](_count(response, letter), let_frequency)


def _language(response: str, language: Language) -> bool:
    # In lower case, because capitals mislead the model. A check of arguments loads no model.
    return response != "" and _identifier().classify(response.lower())[0] == language


def _number_sentences(response: str, num_sentences: Count, relation: Relation) -> bool:
    return _sentences(response, num_sentences, relation)


def _paragraphs(response: str, num_paragraphs: Number) -> bool:
    return len(_divided(response, "***")) == num_paragraphs


def _number_words(response: str, num_words: Count, relation: Relation) -> bool:
    return RELATIONS[relation](len(re.findall(r"\w+", response)), num_words)


def _first_word(
    response: str, num_paragraphs: Number, nth_paragraph: Number, first_word: Text
) -> bool:
    parts = [part for part in re.split(r"\n\s*\n", response.strip()) if part]
    if len(parts) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    match = re.match(r"\s*[\"']*([^\s.,?!\"']*)", parts[nth_paragraph - 1])
    return match is not None and match[1].lower() == first_word.lower()


def _placeholders(response: str, num_placeholders: Count) -> bool:
    return sum(map(bool, map(str.strip, _PLACEHOLDER.findall(response)))) >= num_placeholders


def _postscript(response: str, postscript_marker: Text) -> bool:
    # "P. S." is "P.S."
    closed = re.sub(r"\b(p\.)\s(?=[ps]\b)", r"\1", response, flags=re.IGNORECASE)
    matches = _whole_words(postscript_marker).finditer(closed)
    return any(has_words(closed[match.end() :]) for match in matches)


def _number_bullets(response: str, num_bullets: Count) -> bool:
    lines = response.split("\n")
    return sum(bool(_bullet(line, "-") or _bullet(line, "*")) for line in lines) == num_bullets


def _highlights(response: str, num_highlights: Count) -> bool:
    return len(_HIGHLIGHT.findall(response)) >= num_highlights


def _sections(response: str, section_spliter: Text, num_sections: Count) -> bool:
    return len(re.findall(re.escape(section_spliter) + r"\s?\d", response)) >= num_sections


def is_json(response: str) -> bool:
    """Return whether a response, or the text in its fence, is a JSON value."""

    def reject(name: str) -> None:
        raise ValueError(f"{name} is no JSON value, although Python reads it as one")

    fenced = _FENCE.fullmatch(response.strip())
    try:
        json.loads(fenced[1] if fenced else response, parse_constant=reject)
    except (ValueError, RecursionError):  # A model in a loop may open brackets without end.
        return False
    return True


def _title(response: str) -> bool:
    return any(map(str.strip, _TITLE.findall(response)))


def _two_responses(response: str) -> bool:
    parts = _divided(response, "******")
    return len(parts) == 2 and parts[0] != parts[1]


def _repeat(response: str, prompt_to_repeat: Text) -> bool:
    return response.lower().startswith(prompt_to_repeat.lower())


def _end(response: str, end_phrase: Text) -> bool:
    return response.strip('"').lower().endswith(end_phrase.lower())


def _capital_words(response: str, capital_frequency: Count, capital_relation: Relation) -> bool:
    # "WELL-KNOWN", "DON'T" and "U.S." are one word each.
    words = re.findall(r"\w+(?:[-'.]\w+)*", response)
    return RELATIONS[capital_relation](sum(map(str.isupper, words)), capital_frequency)


CHECKERS: Mapping[str, Checker] = {
    **{
        checker.__name__.removeprefix("_"): checker
        for checker in (
            _sentences, _words, _items, _bullets, _numbered, _starts_with, _ends_with, _includes,
            _excludes, _alphabetical, _lowercase, _uppercase, _no_comma, _quoted,
        )
    },
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _number_words,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _number_bullets,
    "detectable_format:constrained_response": lambda text: any(each in text for each in ANSWERS),
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": is_json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat,
    "startend:end_checker": _end,
    "startend:quotation": lambda text: len(text) > 1 and text[0] == text[-1] == '"',
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": lambda text: text.isupper() and _language(text, "en"),
    "change_case:english_lowercase": lambda text: text.islower() and _language(text, "en"),
    "punctuation:no_comma": _no_comma,
}  # fmt: skip
"""Instruction id -> checker; `judges.instructions` checks the arguments by their types."""
