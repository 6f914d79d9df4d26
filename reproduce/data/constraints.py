"""Verifiable instructions for IF prompts, each followed by the reference response.

A constraint is drawn, worded in one of several ways at the end of the prompt, and kept in
`Example.instructions` for the checkers of `reproduce.judges.instructions`.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reproduce.judges.instructions import check_strict
from reproduce.judges.text import LINE_BREAK
from reproduce.schema import Example

Instruction = dict[str, Any]
Choice = tuple[Instruction, str]
"""A constraint and the response that follows it: the reference response, perhaps transformed."""

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "sentences": ("Answer in {relation} {n} {sentence}.",
                  "Your answer should have {relation} {n} {sentence}.",
                  "Write {relation} {n} {sentence}."),
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
    "ends_with": ('End your answer with "{phrase}".',
                  'The last words of your answer should be "{phrase}".',
                  'Finish with the words "{phrase}".'),
    "includes": ('Include the word "{word}".', 'Use the word "{word}" in your answer.',
                 'Your answer should contain the word "{word}".'),
    "excludes": ('Do not use the word "{word}".', 'Avoid the word "{word}".',
                 'Your answer should not contain the word "{word}".'),
    "lowercase": ("Answer in lower case.", "Use only lowercase letters.",
                  "Write your whole answer without capital letters."),
    "uppercase": ("Answer in upper case.", "Use only capital letters.",
                  "Write your whole answer in capitals."),
    "no_comma": ("Do not use any commas.", "Write without commas.",
                 "Your answer should not contain a comma."),
    "quoted": ("Put your whole answer in double quotes.",
               "Wrap your entire answer in double quotation marks."),
}  # fmt: skip

# Half of the examples get both kinds. Two of one kind could contradict each other.
PLANS = (("wording",), ("length",), ("wording", "length"), ("wording", "length"))
MAX_SENTENCES = 6
MAX_ITEMS = 12
# As many lower limits as upper ones: a short answer keeps every upper limit.
OPEN_WORD_LIMITS = {"at most": (10, 20, 30, 40, 50, 60), "at least": (10, 20, 30, 40, 50)}
OPEN_SENTENCES = (1, 2, 3, 4)
OPEN_STARTS = ("Well", "Certainly", "First", "Here", "Today", "Generally")
AVOIDABLE = ("very", "also", "however", "important", "many", "often", "various", "really", "most")
# Letter case and quotes would change the meaning of code and formulas.
CODE = re.compile(r"[{}<>=\\`|]|\n {2,}")
LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
# Words of prompts that ask for something of which nobody counts sentences.
NO_PROSE = re.compile(
    r"\b(?:code|program|function|script|regex|html|css|sql|python|javascript|java|c\+\+|bash|command|"
    r"formula|equation|table|spreadsheet|csv|json|list|outline|bullet\w*|steps|recipe|"
    r"poem|haiku|limerick|sonnet|song|lyrics|rap|rhyme\w*|verse\w*|playlist|crossword)s?\b",
    re.IGNORECASE,
)
WORD = re.compile(r"(?<![\w'-])[a-z]{5,}(?![\w'-])")
COMMON = frozenset(
    "about above after again along among around because been before being below between could "
    "does doing during every first from further have having might other over should since some "
    "such than that their theirs them themselves then there these they this those through under "
    "until using what when where which while whose will with within without would your".split()
)


def constrain(example: Example, rng: random.Random, any_response: bool = False) -> Example:
    """Return an IF example with 1 or 2 constraints in its prompt, and others as they are.

    Others are CD examples, and those with instructions of their own. Half of the examples get one
    constraint, half one on the wording and one on the length. The reference response follows them;
    for lower case, upper case and double quotes it is transformed. With `any_response` they are
    such that any answer can follow them, and the reference response is emptied because it may not.
    Raises ValueError for an empty one otherwise.
    """
    if example.side == "CD" or example.instructions:
        return example
    instructions, response = _open(example, rng) if any_response else _followed(example, rng)
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


def _followed(example: Example, rng: random.Random) -> tuple[list[Instruction], str]:
    """Return constraints that the reference response follows, and what they make of it."""
    plan, response = rng.choice(PLANS), example.response
    instructions: list[Instruction] = []
    if "wording" in plan and (choice := _drawn(_wording_choices(response, rng), rng)):
        instructions.append(choice[0])
        response = choice[1]
    if "length" in plan or not instructions:
        # The length is that of what the wording made of the response.
        choice = _drawn([(length, response) for length in _length_instructions(response)], rng)
        instructions += [choice[0]] if choice else []
    if not instructions:
        raise ValueError(f"example {example.id}: no constraint fits its response")
    return instructions, response


def _open(example: Example, rng: random.Random) -> tuple[list[Instruction], str]:
    """Return constraints that any answer can follow, and no response."""
    relation = rng.choice(list(OPEN_WORD_LIMITS))
    wordings: list[Instruction] = [
        {"id": name} for name in ("lowercase", "uppercase", "quoted", "no_comma")
    ]
    wordings += _included(example.prompt, rng)
    wordings.append({"id": "starts_with", "phrase": rng.choice(OPEN_STARTS)})
    lengths: list[Instruction] = [
        {"id": "words", "n": rng.choice(OPEN_WORD_LIMITS[relation]), "relation": relation},
        {"id": "sentences", "n": rng.choice(OPEN_SENTENCES), "relation": "exactly"},
    ]
    length = lengths[0] if NO_PROSE.search(example.prompt) else rng.choice(lengths)
    drawn = {"wording": rng.choice(wordings), "length": length}
    return [drawn[part] for part in rng.choice(PLANS)], ""


def _worded(instruction: Instruction, rng: random.Random) -> str:
    wording = rng.choice(WORDINGS[instruction["id"]])
    word = instruction.get("words", [""])[0]
    sentence = "sentence" if instruction.get("n") == 1 else "sentences"
    return wording.format(**instruction, word=word, sentence=sentence)


def _drawn(choices: Sequence[Choice], rng: random.Random) -> Choice | None:
    # The judge's own checker decides, so that reference response and judge cannot disagree.
    right = [choice for choice in choices if all(check_strict(choice[1], [choice[0]]))]
    return rng.choice(right) if right else None


def _length_instructions(response: str) -> list[Instruction]:
    words = len(response.split())
    step = 5 if words < 50 else 10
    limits: list[Instruction] = [
        {"id": "words", "n": -(-words // step) * step, "relation": "at most"}
    ]
    if words >= 20:
        limits.append({"id": "words", "n": words // 10 * 10, "relation": "at least"})
    # Of code, lists and poems nobody counts sentences: each line must end as a sentence does.
    lines = [line for line in LINE_BREAK.split(response) if line.strip()]
    is_prose = all(re.search(r"[.!?…][\"'”’)*_]*\s*$", line) for line in lines)
    if is_prose and not CODE.search(response) and not LIST.search(response):
        counts = range(1, MAX_SENTENCES + 1)
        limits += [{"id": "sentences", "n": n, "relation": "exactly"} for n in counts]
    for n in range(2, MAX_ITEMS + 1):
        limits += [{"id": "bullets", "n": n, "mark": "-"}, {"id": "numbered", "n": n}]
    return limits


def _wording_choices(response: str, rng: random.Random) -> list[Choice]:
    instructions: list[Instruction] = [{"id": "no_comma"}, *_included(response, rng)]
    instructions.append({"id": "excludes", "words": [rng.choice(AVOIDABLE)]})
    words = response.split()
    if words and re.fullmatch(r"[A-Za-z]+,?", words[0]):
        instructions.append({"id": "starts_with", "phrase": words[0].rstrip(",")})
    ending = " ".join(words[-3:]).rstrip(".!?")
    if len(words) > 6 and re.fullmatch(r"[A-Za-z]+(?: [A-Za-z]+)+", ending):
        instructions.append({"id": "ends_with", "phrase": ending})
    choices = [(instruction, response) for instruction in instructions]
    if not CODE.search(response):
        quotable = response.replace('"', "'")
        choices.append(({"id": "lowercase"}, response.lower()))
        choices.append(({"id": "uppercase"}, response.upper()))
        choices.append(({"id": "quoted"}, f'"{quotable}"'))
    return choices


def _included(text: str, rng: random.Random) -> list[Instruction]:
    """Return the instruction to include a content word of the text, if it has one."""
    words = sorted(set(WORD.findall(text)) - COMMON)
    return [{"id": "includes", "words": [rng.choice(words)]}] if words else []
