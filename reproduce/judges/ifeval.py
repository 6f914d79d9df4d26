"""IFEval's 25 types of instructions (Zhou et al., 2023), by IFEval's ids and arguments.

Each decides as IFEval's code does, but for the differences that docs/metrics.md lists. Arguments
that IFEval draws at random where they are absent must be given.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from reproduce.judges.checkers import CHECKERS as OWN
from reproduce.judges.checkers import RELATIONS, Checker, bullet, paragraphs

LANGUAGES = (
    "ar", "bg", "bn", "de", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "it", "ja", "kn", "ko",
    "ml", "mr", "ne", "pa", "pl", "pt", "ru", "sw", "ta", "te", "th", "uk", "ur", "vi", "zh",
)  # fmt: skip
"""IFEval's, and Chinese."""
MIN_CONFIDENCE = 0.04
"""All are equally likely (1/31) where a text says nothing of its language."""
ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
WORDS_PER_UNIT = {
    "num_words": 1, "num_sentences": 10, "num_paragraphs": 20, "num_sections": 20, "num_bullets": 5,
}  # fmt: skip
"""Argument -> how many words, at least, a short unit of it has."""


def asked_words(instructions: Sequence[Mapping[str, Any]]) -> int:
    """Return about how many words a response needs to follow all of IFEval's instructions.

    It is what the one that needs most asks for, by `WORDS_PER_UNIT`, or by a prompt to repeat.
    """
    needed = [
        words * (instruction.get(key) or 0)
        for instruction in instructions
        if instruction.get("relation") not in ("less than", "at most")
        for key, words in WORDS_PER_UNIT.items()
    ]
    repeated = [len((each.get("prompt_to_repeat") or "").split()) for each in instructions]
    return max([*needed, *repeated], default=0)


# ---- parts of a response


@cache
def _identifier() -> Any:
    """Return a naive Bayes model that knows LANGUAGES only: so few words tell them apart."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=MIN_CONFIDENCE
    )
    identifier.set_languages(LANGUAGES)
    return identifier


def _is_in(response: str, language: str) -> bool:
    # In lower case, because capitals mislead the model.
    found, _ = _identifier().classify(response.lower())
    return bool(found == language)


def _count(response: str, text: str) -> int:
    """Return how often a text occurs, in any case, also within words."""
    return response.lower().count(text.lower())


def _divided(response: str, divider: str) -> list[str]:
    """Return the parts between dividers, [] if one is empty; one may also open or close."""
    parts = [part.strip() for part in response.split(divider)]
    parts = parts[not parts[0] : len(parts) - (not parts[-1])]
    return parts if all(parts) else []


# ---- checkers, each a function(response, **IFEval's arguments) -> bool


def _existence(response: str, keywords: list[str]) -> bool:
    return all(_count(response, keyword) for keyword in keywords)


def _frequency(response: str, keyword: str, frequency: int, relation: str) -> bool:
    return bool(RELATIONS[relation](_count(response, keyword), frequency))


def _letters(response: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return bool(RELATIONS[let_relation](_count(response, letter), let_frequency))


def _words(response: str, num_words: int, relation: str) -> bool:
    return bool(RELATIONS[relation](len(re.findall(r"\w+", response)), num_words))


def _paragraphs(response: str, num_paragraphs: int) -> bool:
    return len(_divided(response, "***")) == num_paragraphs


def _first_word(response: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    parts = paragraphs(response)
    if len(parts) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    match = re.match(r"\s*[\"']*([^\s.,?!\"']*)", parts[nth_paragraph - 1])
    return match is not None and match[1].lower() == first_word.lower()


def _postscript(response: str, postscript_marker: str) -> bool:
    # "P. S." is "P.S."
    closed = re.sub(r"\b(p\.)\s(?=[ps]\b)", r"\1", response, flags=re.IGNORECASE)
    return OWN["postscript"](closed, postscript_marker)


def _bullets(response: str, num_bullets: int) -> bool:
    lines = response.split("\n")
    return sum(bool(bullet(line, "-") or bullet(line, "*")) for line in lines) == num_bullets


def _sections(response: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(re.escape(section_spliter) + r"\s?\d", response)) >= num_sections


def _two_responses(response: str) -> bool:
    parts = _divided(response, "******")
    return len(parts) == 2 and parts[0] != parts[1]


def _repeat(response: str, prompt_to_repeat: str) -> bool:
    return response.lower().startswith(prompt_to_repeat.lower())


def _end(response: str, end_phrase: str) -> bool:
    return response.strip('"').lower().endswith(end_phrase.lower())


def _capital_words(response: str, capital_frequency: int, capital_relation: str) -> bool:
    # "WELL-KNOWN", "DON'T" and "U.S." are one word each.
    words = re.findall(r"\w+(?:[-'.]\w+)*", response)
    return bool(RELATIONS[capital_relation](sum(map(str.isupper, words)), capital_frequency))


IFEVAL: Mapping[str, Checker] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words":
        lambda response, forbidden_words: OWN["excludes"](response, forbidden_words),
    "keywords:letter_frequency": _letters,
    "language:response_language": lambda response, language: _is_in(response, language),
    "length_constraints:number_sentences":
        lambda response, num_sentences, relation:
            OWN["sentences"](response, num_sentences, relation),
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders":
        lambda response, num_placeholders: OWN["placeholders"](response, num_placeholders),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response":
        lambda response: any(answer in response for answer in ANSWERS),
    "detectable_format:number_highlighted_sections":
        lambda response, num_highlights: OWN["highlights"](response, num_highlights),
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": OWN["json"],
    "detectable_format:title": OWN["title"],
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat,
    "startend:end_checker": _end,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": lambda response: response.isupper() and _is_in(response, "en"),
    "change_case:english_lowercase": lambda response: response.islower() and _is_in(response, "en"),
    "punctuation:no_comma": OWN["no_comma"],
    "startend:quotation":
        lambda response: len(response) > 1 and response[0] == response[-1] == '"',
}  # fmt: skip
"""IFEval's id -> checker; texts come without outer white space, as `bind` gives them."""
