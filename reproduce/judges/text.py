"""Text as a reader sees it, in any script: sentences, words, quotes, commas."""

import re
import unicodedata

from sentencex import segment

SPLITTER_NOTE = "Sentences are split by sentencex."
"""For tables. The splitter knows abbreviations, initials and quotes."""

LINE_BREAK = re.compile(r"[\n\r\v\f\x85\u2028\u2029]+")
COMMA = re.compile("[,\uff0c\u3001\u060c\ufe50\uff64]")
"""Commas: ASCII, full-width, ideographic, Arabic, small, half-width ideographic."""

# sentencex does not end a sentence inside brackets: "(He left.) She stayed."
_BRACKET_END = re.compile(r"(?<=[.!?…。！？][)\]）】])\s+(?=[^\Wa-z_]|[\"'“‘(\[])")
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"') | dict.fromkeys("‘’‚‛ʼ＇", "'"))
# Scripts without spaces between words: each character counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")


def sentences(text: str) -> list[str]:
    """Return the non-empty sentences of a text, stripped; the end of a line ends one, too."""
    return [
        sentence
        for line in LINE_BREAK.split(text)
        for part in _BRACKET_END.split(line)
        for sentence in map(str.strip, segment("en", part))
        if sentence
    ]


def words(text: str) -> list[str]:
    """Return the lower-case words and numbers of a text, without punctuation.

    For ASCII these are the tokens of the rouge_score package. "é" is one letter however it is
    encoded, and each Chinese or Japanese character is a word.
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def has_words(text: str) -> bool:
    """Return whether a text has a letter or digit. One without says nothing."""
    return re.search(r"[^\W_]", text) is not None


def plain_quotes(text: str) -> str:
    """Return a text with straight quotes and apostrophes in place of typographic ones."""
    return text.translate(_QUOTES)
