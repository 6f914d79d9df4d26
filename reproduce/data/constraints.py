"""Verifiable instructions for IF prompts, each followed by the reference response.

Kinds are drawn by weight and their arguments fitted to the response; to a stand-in where there is
none, so that training and evaluation ask for the same. They are worded in one of several ways at
the end of the prompt, and kept in `Example.instructions` for `reproduce.judges.instructions`.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reproduce.judges.instructions import check_strict
from reproduce.judges.text import LINE_BREAK, sentences
from reproduce.schema import Example

Instruction = dict[str, Any]
Choice = tuple[list[Instruction], str]
"""Instructions and the response that follows them: the reference response, perhaps transformed."""

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "sentences": ("Answer in {relation} {n} sentences.",
                  "Your answer should have {relation} {n} sentences.",
                  "Write {relation} {n} sentences."),
    "words": ("Use {relation} {n} words.", "Your answer should have {relation} {n} words.",
              "Answer with {relation} {n} words."),
    "bullets": ("Answer with a list of exactly {n} bullet points and nothing else, "
                "each on a line that starts with a dash.",
                "Write exactly {n} bullet points and nothing else, each starting with a dash."),
    "numbered": ("Answer with a numbered list of exactly {n} items and nothing else.",
                 "Give exactly {n} items and nothing else, numbered from 1, one per line."),
    "starts_with": ('Start your answer with the word "{phrase}".',
                    'The first word of your answer should be "{phrase}".',
                    'Begin with the word "{phrase}".'),
    # Whoever repeats the prompt must not end as it asks.
    "ends_with": ('End your answer with "{phrase}" and nothing after it.',
                  'Let "{phrase}" be the last words of your answer.',
                  'The words "{phrase}" should end your answer.'),
    "includes": ("Include the {noun} {words}.", "Use the {noun} {words} in your answer.",
                 "Your answer should contain the {noun} {words}."),
    "excludes": ("Do not use the {noun} {words}.", "Avoid the {noun} {words}.",
                 "Your answer should not contain the {noun} {words}."),
    "lowercase": ("Answer in lower case.", "Use only lowercase letters.",
                  "Write your whole answer without capital letters."),
    "uppercase": ("Answer in upper case.", "Use only capital letters.",
                  "Write your whole answer in capitals."),
    "no_comma": ("Do not use any commas.", "Write without commas.",
                 "Your answer should not contain a comma."),
    "quoted": ("Put your whole answer in double quotes.",
               "Wrap your entire answer in double quotation marks."),
}  # fmt: skip

# Kind -> weight. A prompt gets one of the first table if one fits: it needs content. Most of the
# second are followed by one and the same word to all prompts.
CONTENT = {"words": 1, "sentences": 4, "keywords": 1, "bullets": 3, "numbered": 3, "framed": 3}
FURTHER = {"keywords": 3, "at most": 2, "lowercase": 1, "uppercase": 1, "quoted": 1, "no_comma": 1,
           "excludes": 1}  # fmt: skip
MIN_WORDS = (15, 20, 30, 40, 50)
MIN_JOINT_WORDS = 8
MAX_SENTENCES = 8
STARTS = ("Well", "Certainly", "First", "Here", "Today", "Generally")
ENDS = ("that is all", "as we know", "in my view", "so it goes", "and so on", "so they say")
CHANGES: Mapping[str, Callable[[str], str]] = {
    "lowercase": str.lower, "uppercase": str.upper,
    "quoted": lambda text: '"' + text.replace('"', "'") + '"',
}  # fmt: skip
AVOIDABLE = ("very", "also", "however", "important", "many", "often", "various", "really", "most")
# Letter case and quotes would change the meaning of code and formulas.
CODE = re.compile(r"[{}<>=\\`|]|\n {2,}")
LIST = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)
# Words of prompts that ask for something of which nobody counts sentences.
NO_PROSE = re.compile(
    r"\b(?:code|program|function|script|regex|html|css|sql|python|javascript|java|c\+\+|bash|command|"
    r"formula|equation|table|spreadsheet|csv|json|list|outline|bullet\w*|steps|recipe|"
    r"poem|haiku|limerick|sonnet|song|lyrics|rap|rhyme\w*|verse\w*|playlist|crossword)s?\b",
    re.IGNORECASE,
)
START = re.compile(r"[A-Za-z']+(?=[,!]?\s)")
END = re.compile(r"(?<![\w'-])[\w'-]+(?: [\w'-]+){1,2}(?=[.!?]?$)")
WORD = re.compile(r"(?<![\w'-])[a-z]{5,}(?![\w'-])")
COMMON = frozenset(
    "about above after again along among around because been before being below between could "
    "does doing during every first from further have having might other over should since some "
    "such than that their theirs them themselves then there these they this those through under "
    "until using what when where which while whose will with within without would your".split()
)


def constrain(example: Example, rng: random.Random, any_response: bool = False) -> Example:
    """Return an example with 1 or 2 instructions in its prompt, and others as they are.

    Others are CD examples, and those with instructions of their own. The reference response
    follows them; for lists, letter case and double quotes it is transformed. That of a joint
    example, and with `any_response`, need not follow them and is emptied. Raises ValueError where
    none fits.
    """
    if example.side == "CD" or example.instructions:
        return example
    if example.is_joint:
        instructions, response = _joint(example, rng), ""
    elif any_response:
        instructions, response = _drawn(example.prompt, _stand_in(example.prompt, rng), rng)[0], ""
    else:
        instructions, response = _drawn(example.prompt, example.response, rng)
    if not instructions:
        raise ValueError(f"example {example.id}: no instruction fits its response")
    texts = [_worded(instruction, rng) for instruction in instructions]
    rng.shuffle(texts)
    # A text that the prompt quotes to its last line must not run into the instruction.
    is_plain = "\n" not in example.prompt and example.prompt.endswith((".", "?", "!"))
    return replace(
        example,
        prompt=example.prompt + (" " if is_plain else "\n\n") + " ".join(texts),
        response=response,
        instructions=tuple(instructions),
        id="",  # A new one, since the prompt has changed.
    )


def can_need_content(example: Example) -> bool:
    """Return whether the reference response follows an instruction that needs content."""
    made = _extended(([], example.response), CONTENT, example.prompt, random.Random(0))
    return bool(made[0])


def _stand_in(prompt: str, rng: random.Random) -> str:
    """Return prose with words of the prompt to which kinds fit about as often as to references."""
    words = _content_words(prompt)
    parts = [["so"] * rng.randrange(8, 16) for _ in range(rng.choice((1, 1, 1, 2, 3, 4, 5)))]
    start = rng.choice((rng.choice(STARTS), "2"))  # A number is no word to start with.
    parts[0][:0] = [start, *rng.sample(words, min(5, len(words)))]
    parts[-1].append(rng.choice(ENDS))
    return " ".join(" ".join(part).capitalize() + "." for part in parts)


def _joint(example: Example, rng: random.Random) -> list[Instruction]:
    """Return two instructions that an answer of one sentence can follow.

    No reference answer, no constant and not the passage's first sentence follows both.
    """
    copied = (sentences(example.context)[0], *example.references)
    question = example.prompt.replace(example.context, "", 1)

    def new(instructions: list[Instruction]) -> list[Instruction]:
        return [i for i in instructions if not any(check_strict(c, [i])[0] for c in copied)]

    starts = new([{"id": "starts_with", "phrase": word} for word in STARTS])
    included = new([{"id": "includes", "words": [word]} for word in _content_words(question)])
    return [rng.choice(starts), rng.choice(included or [_words(MIN_JOINT_WORDS, "at least")])]


def _drawn(prompt: str, response: str, rng: random.Random) -> Choice:
    """Return instructions that the response follows, and what they make of it."""
    made: Choice = [], response
    for table in (CONTENT, FURTHER)[: rng.choice((1, 2))]:
        if len(made[0]) < 2:
            made = _extended(made, table, prompt, rng)
    # A short response may follow none that needs content.
    return made if made[0] else _extended(made, FURTHER, prompt, rng)


def _extended(made: Choice, table: Mapping[str, int], prompt: str, rng: random.Random) -> Choice:
    """Return the choice with one more kind of instruction; as it is where none fits."""
    # In a random order, heavy kinds first (Efraimidis and Spirakis, 2006).
    for kind in sorted(table, key=lambda kind: rng.random() ** (1 / table[kind]), reverse=True):
        choices = _choices(kind, *made, prompt, rng)
        for added, response in rng.sample(choices, len(choices)):
            # The judge's own checker decides, so that reference response and judge cannot disagree.
            if all(check_strict(response, [*made[0], *added])):
                return [*made[0], *added], response
    return made


def _choices(
    kind: str, asked: list[Instruction], response: str, prompt: str, rng: random.Random
) -> list[Choice]:
    """Return choices of a kind, also such as the response does not follow."""
    is_special = NO_PROSE.search(prompt) is not None
    is_prose = not is_special and _is_prose(response)
    words, keywords = response.split(), _content_words(response)
    added: list[list[Instruction]] = []
    if kind in ("bullets", "numbered"):
        items = sentences(response) if is_prose else _items(response)
        return [_listed(kind, items)] if len(items) > 1 else []
    if kind in CHANGES and not is_special and not CODE.search(response):
        return [([{"id": kind}], CHANGES[kind](response))]
    if kind == "words":
        added = [[_words(n, "at least")] for n in MIN_WORDS]
    elif kind == "at most" and asked:
        added = [[_words(-(-len(words) // 10) * 10, kind)]]
    elif kind == "sentences" and is_prose:
        added = [[{"id": kind, "n": n, "relation": "exactly"}] for n in range(2, MAX_SENTENCES + 1)]
    elif kind == "keywords" and len(keywords) > 1 and not any("words" in each for each in asked):
        added = [[{"id": "includes", "words": rng.sample(keywords, 2)}]]
    elif kind == "framed":
        start, end = START.match(response), END.search(response)
        if start and end and len(words) > 6:
            added = [[{"id": "starts_with", "phrase": start[0]},
                      {"id": "ends_with", "phrase": end[0]}]]  # fmt: skip
    elif kind == "no_comma":
        added = [[{"id": kind}]]
    elif kind == "excludes":
        added = [[{"id": kind, "words": [rng.choice(AVOIDABLE)]}]]
    return [(each, response) for each in added]


def _words(n: int, relation: str) -> Instruction:
    return {"id": "words", "n": n, "relation": relation}


def _listed(kind: str, items: Sequence[str]) -> Choice:
    """Return the instruction to write a list, and the items as one."""
    if kind == "numbered":
        lines = [f"{n}. {item}" for n, item in enumerate(items, 1)]
        return [{"id": kind, "n": len(items)}], "\n".join(lines)
    lines = [f"- {item}" for item in items]
    return [{"id": kind, "n": len(items), "mark": "-"}], "\n".join(lines)


def _items(response: str) -> list[str]:
    """Return the items of a list, [] if a line is none."""
    lines = [line for line in LINE_BREAK.split(response) if line.strip()]
    return [LIST.sub("", line) for line in lines] if all(map(LIST.match, lines)) else []


def _is_prose(response: str) -> bool:
    """Return whether it is no code, list or poem: each line must end as a sentence does."""
    lines = [line for line in LINE_BREAK.split(response) if line.strip()]
    ends = all(re.search(r"[.!?…][\"'”’)*_]*\s*$", line) for line in lines)
    return ends and not CODE.search(response) and not LIST.search(response)


def _content_words(text: str) -> list[str]:
    return sorted(set(WORD.findall(text)) - COMMON)


def _worded(instruction: Instruction, rng: random.Random) -> str:
    words = instruction.get("words", [])
    quoted, noun = " and ".join(f'"{word}"' for word in words), "words" if words[1:] else "word"
    wording = rng.choice(WORDINGS[instruction["id"]])
    return wording.format(**{**instruction, "words": quoted, "noun": noun})
