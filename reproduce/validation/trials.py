"""Labelled texts from context-dependent examples, to train and to validate judges.

No person labelled them: a text is right if it is the reference answer or summary, and wrong if
a rule made it wrong. The rules are our choice and follow FactCC (Kryściński et al., EMNLP 2020):
another answer or name of the same passage, an answer about another passage, a negation.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reproduce.judges.faithfulness import coverage_tokens, question_of, statements
from reproduce.judges.instructions import check_strict
from reproduce.judges.text import sentences
from reproduce.schema import Example, Sets

Label = Literal["entailment", "contradiction", "neutral"]
Variant = Literal["right", "same passage", "other passage", "negated", "best constant", "prompt",
                  "first sentence", "memorised value"]  # fmt: skip

CONSTANTS = 40
"""Training prompts per data set whose references are tried as constant responses."""
UNFAITHFUL_FLAWS = ("memory", "other value")
"""Of the synthetic task: another value than the passage's (data.synthetic)."""
GENERIC = (
    "well there are many things to consider here and each of them matters in its own way",
    "some people look at the details first while others like to see the whole picture",
    "it depends on what you need and on how much time you have",
    "a simple plan is the best way to start and that is all",
)
"""Sentences that fit every prompt and say nothing, in the form that follows most instructions."""
NEGATED_SHARE = 0.3
"""Share of the answers with a negated pair: a model needs few to learn what "not" does."""
SWAPPED_SHARE = 0.7
"""Share of the summary sentences whose contradiction is a swapped entity, not a negation."""

_AUXILIARY = re.compile(
    r"\b(is|are|was|were|am|can|could|will|would|should|must|may|might|has|have|had|does|did|do)\b"
)
# A name inside a sentence, or a number: the usual errors of summaries.
_ENTITY = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|#\w+#|\b\d[\d.,:]*\b")


@dataclass(frozen=True)
class LabelledPair:
    """A premise and a hypothesis with their relation."""

    premise: str
    hypothesis: str
    label: Label


@dataclass(frozen=True)
class Trial:
    """A response to an example that is right, or wrong in a known way."""

    example: Example
    response: str
    variant: Variant


def negate(text: str) -> str:
    """Return the text with its first auxiliary verb negated; without one, "not" comes first."""
    match = _AUXILIARY.search(text)
    return f"{text[: match.end()]} not{text[match.end() :]}" if match else f"not {text}"


def swap_entity(text: str, passage: str, rng: random.Random) -> str | None:
    """Return the text with one name or number replaced by another of the passage.

    None if the text has none, or the passage has no other of its kind.
    """

    def kind(entity: str) -> str:
        return "number" if entity[0].isdigit() else "mark" if entity[0] == "#" else "name"

    entities = list(_ENTITY.finditer(text))
    rng.shuffle(entities)
    for match in entities:
        others = sorted(
            {e for e in _ENTITY.findall(passage) if e not in text and kind(e) == kind(match[0])}
        )
        if others:
            return text[: match.start()] + rng.choice(others) + text[match.end() :]
    return None


def distractors(examples: Iterable[Example]) -> dict[str, list[str]]:
    """Return example id -> wrong answers: the answers to other questions on its passage.

    If a passage has only one question: answers to questions on other passages that this one
    contains. An answer that shares a word with a reference is left out.
    """
    questions = [example for example in examples if example.kind == "extractive"]
    answers: dict[str, dict[str, None]] = defaultdict(dict)
    for example in questions:
        answers[example.context][example.response] = None
    all_answers = list(dict.fromkeys(example.response for example in questions))
    wrong: dict[str, list[str]] = defaultdict(list)
    for example in questions:
        right = {token for text in example.references for token in coverage_tokens(text)}
        others = list(answers[example.context])
        if len(others) == 1:
            others = [text for text in all_answers if _contains(example.context, text)]
        wrong[example.id] = [text for text in others if not right & set(coverage_tokens(text))]
    return wrong


def training_pairs(sets: Sets, seed: int) -> list[LabelledPair]:
    """Return distinct pairs of one context sentence and a hypothesis, in random order."""
    rng = random.Random(f"pairs-{seed}")
    examples = [example for members in sets.values() for example in members]
    others = distractors(examples)
    pairs: list[LabelledPair] = []
    for example in examples:
        if example.kind == "extractive":
            pairs += _answer_pairs(example, others[example.id], rng)
        elif example.kind == "abstractive":
            pairs += _summary_pairs(example, rng)
    distinct = list(dict.fromkeys(pairs))
    rng.shuffle(distinct)
    return distinct


def make_trials(sets: Sets, count: int, seed: int) -> list[Trial]:
    """Return the right response and each wrong one to up to `count` examples per data set.

    Probes and examples without a reference response are left out. The right response is not among
    the references, unless it is the only one: metrics that compare with references would compare
    it with itself.
    """
    rng = random.Random(f"trials-{seed}")
    trials: list[Trial] = []
    for name in sorted(sets):
        examples = [e for e in sets[name] if e.response and not e.is_probe]
        others = distractors(examples)
        for example in rng.sample(examples, min(count, len(examples))):
            wrong = _wrong_responses(example, others[example.id], examples, rng)
            references = tuple(text for text in example.references if text != example.response)
            judged = replace(example, references=references or example.references)
            trials.append(Trial(judged, example.response, "right"))
            trials += [Trial(judged, text, variant) for variant, text in wrong.items()]
    return trials


def trivial_responses(training: Sets, evaluation: Sets) -> list[Trial]:
    """Return responses to all evaluation prompts that need no model.

    These are one constant response to all prompts; the prompt itself, where it has no passage; the
    first sentence of the passage; and the answer that is remembered from pretraining, where it is
    known. The constant is the one that follows most instructions: of "yes", of prose and lists that
    fit every prompt, and of the references of the first training prompts.
    """
    examples = [e for members in evaluation.values() for e in members if not e.is_probe]
    constants = ["yes", '"yes"', *_generic_texts()]
    constants += [e.response for s in training.values() for e in s[:CONSTANTS] if e.instructions]

    def followed(constant: str) -> float:
        return sum(
            sum(check_strict(constant, e.instructions)) / len(e.instructions)
            for e in examples if e.side == "IF" and e.instructions
        )  # fmt: skip

    constant = max(dict.fromkeys(constants), key=followed)
    trials = [Trial(e, constant, "best constant") for e in examples]
    trials += [Trial(e, e.prompt, "prompt") for e in examples if not e.context]
    trials += [Trial(e, sentences(e.context)[0], "first sentence") for e in examples if e.context]
    return trials + [
        Trial(e, e.parametric_answer, "memorised value") for e in examples if e.parametric_answer
    ]


def _generic_texts() -> Iterator[str]:
    """Yield the first sentences of GENERIC and its last as prose, in quotes and as lists."""
    for n in range(1, len(GENERIC)):
        parts = [f"{part}." for part in (*GENERIC[:n], GENERIC[-1])]
        yield from (prose := " ".join(parts), f'"{prose}"')
        yield "\n".join(f"- {part}" for part in parts)
        yield "\n".join(f"{number}. {part}" for number, part in enumerate(parts, 1))


def _wrong_responses(
    example: Example, others: Sequence[str], examples: Sequence[Example], rng: random.Random
) -> dict[Variant, str]:
    elsewhere = [
        other.response
        for other in rng.sample(examples, min(40, len(examples)))
        if other.id != example.id
        and not (example.split_group and other.split_group == example.split_group)
        and not _contains(example.context, other.response)
    ]
    wrong: dict[Variant, str | None] = {"other passage": elsewhere[0] if elsewhere else None}
    if example.kind == "extractive":
        wrong["same passage"] = rng.choice(others) if others else None
    elif example.kind == "abstractive":
        known = example.flawed_response if example.flaw in UNFAITHFUL_FLAWS else None
        wrong["same passage"] = known or swap_entity(example.response, example.context, rng)
    if example.kind != "instruction":
        wrong["negated"] = negate(example.response)
    return {variant: text for variant, text in wrong.items() if text}


def _answer_pairs(
    example: Example, others: Sequence[str], rng: random.Random
) -> list[LabelledPair]:
    def hypothesis(answer: str) -> str:
        return " ".join(statements(example.prompt, example.context, answer))

    units, question = sentences(example.context), question_of(example.prompt, example.context)
    holding = [unit for unit in units if _contains(unit, example.response)]
    if not holding:
        return []
    source = max(holding, key=lambda unit: _shared_words(unit, question))
    right = hypothesis(example.response)
    pairs = [LabelledPair(source, right, "entailment")]
    if rng.random() < NEGATED_SHARE:
        negated = hypothesis(negate(example.response))
        pairs.append(LabelledPair(source, negated, "contradiction"))
    without = [unit for unit in units if not _contains(unit, example.response)]
    if without:
        pairs.append(LabelledPair(rng.choice(without), right, "neutral"))
    if others:
        answer = rng.choice(others)
        wrong = hypothesis(answer)
        pairs.append(LabelledPair(source, wrong, "contradiction"))
        neutral = [unit for unit in without if _contains(unit, answer)]
        pairs += [LabelledPair(unit, wrong, "neutral") for unit in neutral[:1]]
    return pairs


def _summary_pairs(example: Example, rng: random.Random) -> list[LabelledPair]:
    units = sentences(example.context)
    pairs: list[LabelledPair] = []
    for text in sentences(example.response):
        source = max(units, key=lambda unit: _shared_words(unit, text))
        pairs.append(LabelledPair(source, text, "entailment"))
        swaps = rng.random() < SWAPPED_SHARE
        wrong = (swap_entity(text, example.context, rng) if swaps else None) or negate(text)
        pairs.append(LabelledPair(source, wrong, "contradiction"))
        distant = rng.choice(units)
        if distant != source:
            pairs.append(LabelledPair(distant, text, "neutral"))
    for unit in rng.sample(units, min(2, len(units))):
        pairs.append(LabelledPair(unit, unit, "entailment"))
        wrong = swap_entity(unit, example.context, rng) or negate(unit)
        pairs.append(LabelledPair(unit, wrong, "contradiction"))
    return pairs


def _contains(unit: str, answer: str) -> bool:
    # Whole words: "10" is not in "2010".
    return f" {' '.join(coverage_tokens(answer))} " in f" {' '.join(coverage_tokens(unit))} "


def _shared_words(unit: str, text: str) -> int:
    return len(set(coverage_tokens(unit)) & set(coverage_tokens(text)))
