"""Pretraining texts: facts, passages stated twice or asked about, plain stories and lists."""

import random

from reproduce.world.people import (
    QUESTIONS,
    VALUES,
    Facts,
    World,
    in_order,
    pick_attributes,
    statement,
    statements,
)
from reproduce.world.tasks import listing, story

# Shares of the kinds of text. Retellings and questions teach to read from the context, biographies
# give something to remember; both abilities must exist before fine-tuning chooses between them.
# Without questions some base models never learned to answer from a passage, whatever the tuning.
SHARES = {
    "biography": 0.3, "retelling": 0.3, "questions": 0.2, "quotation": 0.05, "story": 0.075,
    "list": 0.075,
}  # fmt: skip


def pretraining_texts(world: World, count: int, seed: int) -> list[str]:
    """Return `count` texts of random kinds in random order; the same for the same seed."""
    rng = random.Random(f"corpus-{seed}")
    kinds = rng.choices(list(SHARES), weights=list(SHARES.values()), k=count)
    return [_text(kind, world, rng) for kind in kinds]


def _text(kind: str, world: World, rng: random.Random) -> str:
    if kind == "story":
        return story(world, rng).response
    if kind == "list":
        return listing(world, rng).response
    if kind == "biography":
        name = rng.choice(list(world))
        facts = {a: world[name][a] for a in in_order(pick_attributes(rng, 4))}
        return " ".join(statements(name, facts, rng))
    if kind == "quotation":
        name = rng.choice(list(world))
        passage = " ".join(statements(name, _random_facts(rng.choice((2, 3)), rng), rng))
        return f"{passage}\n{passage}"
    if kind == "questions":
        people, attributes = rng.sample(list(world), 2), pick_attributes(rng, 6)
        stated = [(name, a, rng.choice(VALUES[a]))
                  for name, a in zip(people * 2, attributes, strict=False)]  # fmt: skip
        lines = [" ".join(statement(*fact, rng.randrange(3)) for fact in stated)]
        for name, attribute, value in rng.sample(stated, 2):
            lines.append(f"{rng.choice(QUESTIONS[attribute]).format(n=name)} {value}")
        return "\n".join(lines)
    first: list[str] = []
    second: list[str] = []
    for name in rng.sample(list(world), rng.choice((1, 1, 2))):
        facts = _random_facts(rng.choice((2, 3, 4)), rng)
        first += statements(name, facts, rng)
        second += statements(name, facts, rng)
    # In an order of its own the second statement of a fact is found by its person and attribute,
    # not by its position. With one order for both some base models learned the position only, and
    # then no fine-tuning taught them to answer questions.
    rng.shuffle(first)
    rng.shuffle(second)
    return " ".join(first) + "\n" + " ".join(second)


def _random_facts(count: int, rng: random.Random) -> Facts:
    return {a: rng.choice(VALUES[a]) for a in pick_attributes(rng, count)}
