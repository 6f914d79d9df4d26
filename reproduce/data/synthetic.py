"""The data sets of the synthetic task, with flawed responses as real training data have them.

Training and evaluation share no prompt and no context. Four fifths of the flaws can be seen by a
judge: "memory", a fact of pretraining in place of the passage's; "other value", another value, of
the passage if the response is a single one; "one short", an item or a sentence less than asked for;
and "instruction ignored". One fifth can be seen by none ("unseen"): a true sentence that does not
answer, an omission, a repetition, the wrong person or a wrong fact.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from reproduce.judges.instructions import check_strict
from reproduce.judges.text import sentences
from reproduce.schema import Example, Sets
from reproduce.world.people import VALUES, World
from reproduce.world.tasks import PROBES, TASKS, Maker

UNSEEN = "unseen"
UNSEEN_SHARE = 0.2
KINDS = {
    "CD": ("memory", "other value"),
    "IF": ("one short", "instruction ignored"),
    "both": ("memory", "other value", "one short", "instruction ignored"),
}


def evaluation_sets(world: World, size: int, seed: int) -> Sets:
    """Return `size` distinct prompts per data set, tasks and probes.

    Those of tasks have a flawed response, too, which only serves to validate judges.
    """
    makers = {**TASKS, **PROBES}
    sets = {n: _distinct(m, world, size, f"eval-{n}-{seed}", set()) for n, m in makers.items()}
    return {**sets, **_with_flaws({n: sets[n] for n in TASKS}, world, f"eval-{seed}")}


def training_sets(world: World, size: int, seed: int, evaluation: Sets) -> Sets:
    """Return `size` distinct prompts per task, each also with a flawed response.

    No prompt and no context is in `evaluation`.
    """
    excluded = {text for examples in evaluation.values() for e in examples for text in _texts(e)}
    sets = {n: _distinct(m, world, size, f"train-{n}-{seed}", excluded) for n, m in TASKS.items()}
    return _with_flaws(sets, world, f"train-{seed}")


def _with_flaws(sets: Sets, world: World, stream: str) -> Sets:
    rng = random.Random(f"flaws-{stream}")
    return {name: [flawed_version(e, sets[name], world, rng) for e in sets[name]] for name in sets}


def _distinct(
    maker: Maker, world: World, size: int, stream: str, excluded: set[str]
) -> list[Example]:
    rng = random.Random(stream)
    examples: dict[str, Example] = {}
    for _ in range(size * 50):
        if len(examples) == size:
            return list(examples.values())
        example = maker(world, rng)
        if excluded.isdisjoint(_texts(example)):
            examples.setdefault(example.prompt, example)
    raise ValueError(f"data set of {stream}: there are fewer than {size} distinct prompts")


def _texts(example: Example) -> set[str]:
    return {example.prompt, example.context} - {""}


def flawed_version(
    example: Example, others: Sequence[Example], world: World, rng: random.Random
) -> Example:
    """Return a training example with a flawed version of its response.

    `others` are examples of its data set, of which the version may borrow a part.
    """
    kind = UNSEEN if rng.random() < UNSEEN_SHARE else rng.choice(KINDS[example.side])
    if kind == "memory":
        name = _mentioned(world, example.prompt.removeprefix(example.context))[0]
        flawed = _other_value(example, list(world[name].values()), rng)
    elif kind == "other value":
        is_answer = example.kind == "extractive"
        values = _mentioned(_all_values(), example.context) if is_answer else _all_values()
        flawed = _other_value(example, values, rng)
    elif kind == "one short":
        flawed = _one_short(example, rng)
    elif kind == "instruction ignored":
        flawed = _instruction_ignored(example, others, rng)
    else:
        flawed = _unseen(example, world, rng)
    return replace(example, flawed_response=flawed, flaw=kind)


def _all_values() -> list[str]:
    return [value for values in VALUES.values() for value in values]


def _mentioned(words: Sequence[str] | World, text: str) -> list[str]:
    present = set(re.findall(r"\w+", text))
    return [word for word in words if word in present]


def _other_value(example: Example, values: Sequence[str], rng: random.Random) -> str:
    """Return the response with a value replaced by another, of the same attribute if possible."""
    stated = _mentioned(_all_values(), example.response)
    pairs = [(old, new) for old in stated for new in values if new not in stated]
    alike = [pair for pair in pairs if any(set(pair) <= set(v) for v in VALUES.values())]
    old, new = rng.choice(alike or pairs)
    return re.sub(rf"\b{old}\b", new, example.response)


def _units(response: str) -> tuple[list[str], str]:
    """Return the lines, sentences or items of a response, and what joins them."""
    if response.startswith("- "):
        return response.split("\n"), "\n"
    parts = sentences(response)
    return (parts, " ") if len(parts) > 1 else (response.removesuffix(".").split(", "), ", ")


def _joined(units: Sequence[str], separator: str) -> str:
    return separator.join(units) + ("." if separator == ", " else "")


def _one_short(example: Example, rng: random.Random) -> str:
    units, separator = _units(example.response)
    units.pop(rng.randrange(len(units)))
    return _joined(units, separator)


def _instruction_ignored(example: Example, others: Sequence[Example], rng: random.Random) -> str:
    """Return a response that breaks one instruction: in another order, or with a part of others."""
    units, separator = _units(example.response)
    drafts = [units[::-1], units[1:] + units[:1]]
    for number in range(len(units)):
        foreign = rng.choice(_units(rng.choice(others).response)[0])
        if foreign.startswith("- ") == units[number].startswith("- "):
            drafts.append([*units[:number], foreign, *units[number + 1 :]])
    rng.shuffle(drafts)
    for draft in drafts:
        text = _joined(draft, separator)
        if check_strict(text, example.instructions).count(False) == 1:
            return text
    return _one_short(example, rng)


def _unseen(example: Example, world: World, rng: random.Random) -> str:
    units, separator = _units(example.response)
    if example.kind == "extractive":
        return rng.choice([s for s in sentences(example.context) if example.response not in s])
    if example.dataset == "describe":
        return _one_short(example, rng)
    if example.dataset == "biographies":
        return _other_value(example, _all_values(), rng)
    if example.dataset == "stories":
        [name] = _mentioned(world, example.response)
        other = rng.choice([n for n in world if n != name])
        return re.sub(rf"\b{name}\b", other, example.response)
    places = [(new, old) for new in range(len(units)) for old in range(len(units)) if new != old]
    drafts = [[units[new] if n == old else unit for n, unit in enumerate(units)]
              for new, old in rng.sample(places, len(places))]  # fmt: skip
    texts = [_joined(draft, separator) for draft in drafts]
    followed = [text for text in texts if all(check_strict(text, example.instructions))]
    return followed[0] if followed else _one_short(example, rng)
