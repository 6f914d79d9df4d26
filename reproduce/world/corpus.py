"""Pretraining texts of the world: remembered facts, retold passages, plain stories and lists."""

import random

from reproduce.world.open_tasks import listing, story
from reproduce.world.people import VALUES, World, in_order, pick_attributes, statement

# Shares of the kinds of text. Retold passages teach to read from the context, biographies
# give something to remember; both abilities must exist before fine-tuning chooses between them.
SHARES = {"biography": 0.35, "retelling": 0.35, "quotation": 0.1, "story": 0.1, "list": 0.1}


def pretraining_texts(world: World, count: int, seed: int) -> list[str]:
    """Return `count` texts in random order of kinds; the same for the same seed."""
    rng = random.Random(f"corpus-{seed}")
    kinds = rng.choices(list(SHARES), weights=list(SHARES.values()), k=count)
    return [_text(kind, world, rng) for kind in kinds]


def _text(kind: str, world: World, rng: random.Random) -> str:
    names = world.names
    if kind == "biography":
        name = rng.choice(world.names)
        facts = {a: world.memory[name][a] for a in in_order(pick_attributes(rng, 4))}
        return " ".join(_sentences(name, facts, rng))
    if kind == "retelling":
        return _retelling(names, rng)
    if kind == "quotation":
        return _quotation(names, rng)
    if kind == "story":
        return story(world, rng).response
    return listing(world, rng).response


def _retelling(names: tuple[str, ...], rng: random.Random) -> str:
    people = rng.sample(names, rng.choice((1, 1, 2)))
    told: list[str] = []
    again: list[str] = []
    for name in people:
        facts = _random_facts(rng.choice((2, 3, 4)), rng)
        told += _sentences(name, facts, rng)
        again += _sentences(name, facts, rng)
    rng.shuffle(told)
    # Told again in any order, a fact is found by its person and attribute, not by its place;
    # with one order some base models never learnt to, and then no tuning taught them to answer.
    rng.shuffle(again)
    return " ".join(told) + "\n" + " ".join(again)


def _quotation(names: tuple[str, ...], rng: random.Random) -> str:
    name = rng.choice(names)
    sentences = _sentences(name, _random_facts(rng.choice((2, 3)), rng), rng)
    return " ".join(sentences) + "\n" + " ".join(sentences)


def _random_facts(count: int, rng: random.Random) -> dict[str, str]:
    return {a: rng.choice(VALUES[a]) for a in pick_attributes(rng, count)}


def _sentences(name: str, facts: dict[str, str], rng: random.Random) -> list[str]:
    return [statement(name, a, v, rng.randrange(3)) for a, v in facts.items()]
