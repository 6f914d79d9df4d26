"""Verifiable instructions for instruction-following prompts, each right for its gold response.

A constraint is drawn, said in one of several plain wordings at the end of the prompt, and kept
in `Example.instructions` for the checkers of `reproduce.judges.instructions`.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reproduce.judges.instructions import follow
from reproduce.schema import Example

Instruction = dict[str, Any]

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "sentences": (
        "Answer in {relation} {n} {sentence}.",
        "Your answer should have {relation} {n} {sentence}.",
        "Write {relation} {n} {sentence}.",
    ),
    "words": (
        "Use {relation} {n} words.",
        "Your answer should have {relation} {n} words.",
        "Answer with {relation} {n} words.",
    ),
    "bullets": (
        "Answer with a list of exactly {n} bullet points, each on a line that starts with a dash.",
        "Write exactly {n} bullet points and nothing else, each starting with a dash.",
    ),
    "numbered": (
        "Answer with a numbered list of exactly {n} items and nothing else.",
        "Give exactly {n} items, numbered from 1, one a line.",
    ),
    "starts_with": (
        'Start your answer with the word "{phrase}".',
        'The first word of your answer should be "{phrase}".',
        'Begin with the word "{phrase}".',
    ),
    "ends_with": (
        'End your answer with "{phrase}".',
        'The last words of your answer should be "{phrase}".',
        'Finish with the words "{phrase}".',
    ),
    "includes": (
        'Include the word "{word}".',
        'Use the word "{word}" in your answer.',
        'Your answer should contain the word "{word}".',
    ),
    "excludes": (
        'Do not use the word "{word}".',
        'Avoid the word "{word}".',
        'Your answer should not contain the word "{word}".',
    ),
    "lowercase": (
        "Answer in lower case.",
        "Use only lowercase letters.",
        "Write your whole answer without capital letters.",
    ),
    "uppercase": (
        "Answer in upper case.",
        "Use only capital letters.",
        "Write your whole answer in capitals.",
    ),
    "no_comma": (
        "Do not use any commas.",
        "Write without commas.",
        "Your answer should not contain a comma.",
    ),
    "quoted": (
        "Put your whole answer in double quotes.",
        "Wrap your entire answer in double quotation marks.",
    ),
}

# Half of the examples get both kinds. Two of one kind could contradict each other.
PLANS = (("wording",), ("length",), ("wording", "length"), ("wording", "length"))
MOST_SENTENCES = 6
MOST_ITEMS = 12
# As many lower bounds as upper ones: who says little keeps every upper bound.
OPEN_WORD_LIMITS = {"at most": (10, 20, 30, 40, 50, 60), "at least": (10, 20, 30, 40, 50)}
OPEN_SENTENCES = (1, 2, 3, 4)
OPEN_STARTS = ("Well", "Certainly", "First", "Here", "Today", "Generally")
AVOIDABLE = ("very", "also", "however", "important", "many", "often", "various", "really", "most")
# Letter case and quotes would change the meaning of code and formulas.
CODE = re.compile(r"[{}<>=\\`|]|\n {2,}")
WORD = re.compile(r"(?<![\w'-])[a-z]{5,}(?![\w'-])")
COMMON = frozenset(
    "about above after again along among around because been before being below between could "
    "does doing during every first from further have having might other over should since some "
    "such than that their theirs them themselves then there these they this those through under "
    "until using what when where which while whose will with within without would your".split()
)


@dataclass(frozen=True)
class Choice:
    """A constraint with the response that meets it (the gold, or the gold transformed)."""

    instruction: Instruction
    response: str


def constrain_gold(example: Example, rng: random.Random) -> Example:
    """Return the example with 1 or 2 constraints that its gold response follows.

    Lower case, upper case and double quotes are met by transforming the gold. Half of the
    examples get one constraint, half one on the wording and one on the length.
    Raises ValueError, with the example's id, when no constraint fits (an empty response).
    """
    plan = rng.choice(PLANS)
    wording = _drawn(_wording_choices(example, rng), rng) if "wording" in plan else None
    # The length is measured on what the wording made of the gold.
    response = wording.response if wording else example.response
    length = _drawn(_length_choices(response), rng) if "length" in plan or not wording else None
    chosen = [choice.instruction for choice in (wording, length) if choice]
    if not chosen:
        raise ValueError(f"example {example.id}: no constraint fits its response")
    return _constrained(example, chosen, response, rng)


def constrain_open(example: Example, rng: random.Random) -> Example:
    """Return an evaluation-only example with 1 or 2 constraints that any answer can meet.

    The response is emptied, because a given answer need not follow them; references stay.
    """
    relation = rng.choice(list(OPEN_WORD_LIMITS))
    drawn = {
        "wording": rng.choice(_open_wordings(example.prompt, rng)),
        "length": rng.choice(
            [
                {"id": "words", "n": rng.choice(OPEN_WORD_LIMITS[relation]), "relation": relation},
                {"id": "sentences", "n": rng.choice(OPEN_SENTENCES), "relation": "exactly"},
            ]
        ),
    }
    return _constrained(example, [drawn[part] for part in rng.choice(PLANS)], "", rng)


def _constrained(
    example: Example, instructions: Sequence[Instruction], response: str, rng: random.Random
) -> Example:
    said = [_said(instruction, rng) for instruction in instructions]
    rng.shuffle(said)
    # A text that the prompt quotes to its last line must not run into the instruction.
    plain = "\n" not in example.prompt and example.prompt.endswith((".", "?", "!"))
    return replace(
        example,
        prompt=example.prompt + (" " if plain else "\n\n") + " ".join(said),
        response=response,
        instructions=tuple(instructions),
        id="",  # A new one: the prompt that it names has changed.
    )


def _said(instruction: Instruction, rng: random.Random) -> str:
    values = dict(instruction)
    wording = rng.choice(WORDINGS[values["id"]])
    word = values.get("words", [""])[0]
    sentence = "sentence" if values.get("n") == 1 else "sentences"
    return wording.format(**values, word=word, sentence=sentence)


def _drawn(choices: Iterable[Choice], rng: random.Random) -> Choice | None:
    # The judge's own checker decides, so gold and judge cannot disagree.
    right = [each for each in choices if all(follow(each.response, [each.instruction]))]
    return rng.choice(right) if right else None


def _length_choices(response: str) -> list[Choice]:
    words = len(response.split())
    limit = _rounded_up(words)
    instructions: list[Instruction] = [{"id": "words", "n": limit, "relation": "at most"}]
    if words >= 20:
        floor = words // 10 * 10
        instructions.append({"id": "words", "n": floor, "relation": "at least"})
    counts: list[Instruction] = [
        {"id": "sentences", "n": n, "relation": "exactly"} for n in range(1, MOST_SENTENCES + 1)
    ]
    for n in range(2, MOST_ITEMS + 1):
        counts += [{"id": "bullets", "n": n}, {"id": "numbered", "n": n}]
    # A list is better asked for as a list than as a number of sentences.
    if re.search(r"^\s*(?:[-*]|\d+\.)\s", response, re.MULTILINE):
        counts = [each for each in counts if each["id"] != "sentences"]
    return [Choice(instruction, response) for instruction in instructions + counts]


def _rounded_up(words: int) -> int:
    step = 5 if words < 50 else 10
    return -(-words // step) * step


def _wording_choices(example: Example, rng: random.Random) -> list[Choice]:
    response = example.response
    instructions: list[Instruction] = [{"id": "no_comma"}]
    instructions += [{"id": "includes", "words": [word]} for word in _one(_words_of(response), rng)]
    instructions += [{"id": "excludes", "words": [rng.choice(AVOIDABLE)]}]
    instructions += _edges(response)
    transformed = [] if CODE.search(response) else _transformed(response)
    return [Choice(instruction, response) for instruction in instructions] + transformed


def _edges(response: str) -> list[Instruction]:
    words = response.split()
    found: list[Instruction] = []
    if words and re.fullmatch(r"[A-Za-z]+,?", words[0]):
        found.append({"id": "starts_with", "phrase": words[0].rstrip(",")})
    ending = " ".join(words[-3:]).rstrip(".!?")
    if len(words) > 6 and re.fullmatch(r"[A-Za-z]+(?: [A-Za-z]+)+", ending):
        found.append({"id": "ends_with", "phrase": ending})
    return found


def _transformed(response: str) -> list[Choice]:
    quotable = response.replace('"', "'")
    return [
        Choice({"id": "lowercase"}, response.lower()),
        Choice({"id": "uppercase"}, response.upper()),
        Choice({"id": "quoted"}, f'"{quotable}"'),
    ]


def _open_wordings(prompt: str, rng: random.Random) -> list[Instruction]:
    forms = [{"id": name} for name in ("lowercase", "uppercase", "quoted", "no_comma")]
    included = [{"id": "includes", "words": [word]} for word in _one(_words_of(prompt), rng)]
    return [*forms, *included, {"id": "starts_with", "phrase": rng.choice(OPEN_STARTS)}]


def _words_of(text: str) -> list[str]:
    """Return the content words of a text in sorted order: lower case, 5 letters or more."""
    return sorted(set(WORD.findall(text)) - COMMON)


def _one(words: Sequence[str], rng: random.Random) -> list[str]:
    return [rng.choice(words)] if words else []
