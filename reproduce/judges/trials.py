"""Labelled pairs of text from context-dependent examples, to train and to measure judges.

Nobody labelled them: a hypothesis is right when it is the gold answer or summary, and wrong when
it was made wrong by a rule. The rules are our choice, in the manner of FactCC (Kryściński et al.,
EMNLP 2020): another answer or name of the same passage, one of another passage, a negation.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reproduce.judges.faithfulness import (
    coverage_tokens,
    question_of,
    sentences,
    statements,
)
from reproduce.schema import Example, Sets

Label = Literal["entailment", "contradiction", "neutral"]
Variant = Literal["right", "same passage", "other passage", "negated"]

NEGATED = 0.3
"""Share of the answers that are negated once more: few suffice to learn what "not" does."""

AUXILIARY = re.compile(
    r"\b(is|are|was|were|am|can|could|will|would|should|must|may|might|has|have|had|does|did|do)\b"
)
# A name inside a sentence, or a number: what a wrong summary gets wrong.
ENTITY = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|#\w+#|\b\d[\d.,:]*\b")


@dataclass(frozen=True)
class Pair:
    """A premise and a hypothesis with their relation."""

    premise: str
    hypothesis: str
    label: Label


@dataclass(frozen=True)
class Trial:
    """A response to an example that is known to be right, or wrong in one way."""

    example: Example
    response: str
    variant: Variant


def negated(text: str) -> str:
    """Return the text with its first auxiliary verb negated, or "not" before it if it has none."""
    found = AUXILIARY.search(text)
    return f"{text[: found.end()]} not{text[found.end() :]}" if found else f"not {text}"


def swapped(text: str, passage: str, rng: random.Random) -> str | None:
    """Return the text with one name or number replaced by another of the passage.

    None if the text has none, or the passage has no other of its kind.
    """
    found = list(ENTITY.finditer(text))
    rng.shuffle(found)
    for entity in found:
        others = sorted(
            {o for o in ENTITY.findall(passage) if o not in text and _kind(o) == _kind(entity[0])}
        )
        if others:
            return text[: entity.start()] + rng.choice(others) + text[entity.end() :]
    return None


def training_pairs(sets: Sets, seed: int) -> list[Pair]:
    """Return distinct pairs of one context sentence and a statement, in random order."""
    rng = random.Random(f"pairs-{seed}")
    examples = [example for found in sets.values() for example in found]
    others = rivals(examples)
    found: list[Pair] = []
    for example in examples:
        if example.kind == "extractive":
            found += _of_answer(example, others[example.id], rng)
        elif example.kind == "abstractive":
            found += _of_summary(example, rng)
    distinct = list(dict.fromkeys(found))
    rng.shuffle(distinct)
    return distinct


def trials(sets: Sets, count: int, seed: int) -> list[Trial]:
    """Return the right response and each wrong one of up to `count` examples a data set.

    Probes and examples without a gold response have none.
    """
    rng = random.Random(f"trials-{seed}")
    found: list[Trial] = []
    for name in sorted(sets):
        examples = [e for e in sets[name] if e.response and not e.probe]
        others = rivals(examples)
        for example in rng.sample(examples, min(count, len(examples))):
            wrong = _wrong(example, others[example.id], examples, rng)
            found.append(Trial(_without(example), example.response, "right"))
            found += [Trial(_without(example), text, kind) for kind, text in wrong.items()]
    return found


def _without(example: Example) -> Example:
    """Return the example without its gold response among the references, where it has others.

    A judge that compares with references would else compare a right response with itself.
    """
    others = tuple(text for text in example.references if text != example.response)
    return replace(example, references=others or example.references)


def rivals(examples: Iterable[Example]) -> dict[str, list[str]]:
    """Return, by example id, answers to other questions on its passage: wrong for its own.

    Where a passage has one question only: answers to questions on other passages that stand in
    it, too. An answer that shares a word with a right one is left out.
    """
    asked = [example for example in examples if example.kind == "extractive"]
    answers: dict[str, dict[str, None]] = defaultdict(dict)
    for example in asked:
        answers[example.context][example.response] = None
    everywhere = list(dict.fromkeys(example.response for example in asked))
    found: dict[str, list[str]] = defaultdict(list)
    for example in asked:
        right = {token for text in example.references for token in coverage_tokens(text)}
        offered = list(answers[example.context])
        if len(offered) == 1:
            offered = [text for text in everywhere if _holds(example.context, text)]
        found[example.id] = [text for text in offered if not right & set(coverage_tokens(text))]
    return found


def _wrong(
    example: Example, others: Sequence[str], examples: Sequence[Example], rng: random.Random
) -> dict[Variant, str]:
    elsewhere = [
        other.response
        for other in rng.sample(examples, min(40, len(examples)))
        if other.id != example.id
        and not (example.group and other.group == example.group)
        and not _holds(example.context, other.response)
    ]
    made: dict[Variant, str | None] = {"other passage": elsewhere[0] if elsewhere else None}
    if example.kind == "extractive":
        made["same passage"] = rng.choice(others) if others else None
    elif example.kind == "abstractive":
        made["same passage"] = swapped(example.response, example.context, rng)
    if example.side == "CD":
        made["negated"] = negated(example.response)
    return {variant: text for variant, text in made.items() if text}


def _of_answer(example: Example, others: Sequence[str], rng: random.Random) -> list[Pair]:
    units, question = sentences(example.context), question_of(example.prompt, example.context)
    holding = [unit for unit in units if _holds(unit, example.response)]
    if not holding:
        return []
    source = max(holding, key=lambda unit: _shared(unit, question))
    right = _said(example, example.response)
    found = [Pair(source, right, "entailment")]
    if rng.random() < NEGATED:
        wrong = _said(example, negated(example.response))
        found.append(Pair(source, wrong, "contradiction"))
    without = [unit for unit in units if not _holds(unit, example.response)]
    if without:
        found.append(Pair(rng.choice(without), right, "neutral"))
    if others:
        other = rng.choice(others)
        wrong = _said(example, other)
        found.append(Pair(source, wrong, "contradiction"))
        found += [Pair(unit, wrong, "neutral") for unit in without if _holds(unit, other)][:1]
    return found


def _of_summary(example: Example, rng: random.Random) -> list[Pair]:
    units = sentences(example.context)
    found: list[Pair] = []
    for text in sentences(example.response):
        source = max(units, key=lambda unit: _shared(unit, text))
        found.append(Pair(source, text, "entailment"))
        wrong = swapped(text, example.context, rng) if rng.random() < 0.7 else negated(text)
        found.append(Pair(source, wrong or negated(text), "contradiction"))
        far = rng.choice(units)
        found += [Pair(far, text, "neutral")] if far != source else []
    for unit in rng.sample(units, min(2, len(units))):
        found.append(Pair(unit, unit, "entailment"))
        wrong = swapped(unit, example.context, rng) or negated(unit)
        found.append(Pair(unit, wrong, "contradiction"))
    return found


def _kind(entity: str) -> str:
    return "number" if entity[0].isdigit() else "mark" if entity[0] == "#" else "name"


def _said(example: Example, answer: str) -> str:
    return " ".join(statements(example.prompt, example.context, answer))


def _holds(unit: str, answer: str) -> bool:
    # Whole words: "10" is not in "2010".
    return f" {' '.join(coverage_tokens(answer))} " in f" {' '.join(coverage_tokens(unit))} "


def _shared(unit: str, text: str) -> int:
    return len(set(coverage_tokens(unit)) & set(coverage_tokens(text)))
