"""Context-dependent (CD) tasks: the context states other values than pretraining did."""

import random
from dataclasses import replace

from reproduce.schema import Example
from reproduce.world.people import (
    QUESTIONS,
    VALUES,
    Facts,
    World,
    in_order,
    other_facts,
    pick_attributes,
    statement,
)

DESCRIBE = (
    "Describe {n} using the text.",
    "What does the text say about {n}?",
    "Sum up the text about {n}.",
)


def one_person_question(world: World, rng: random.Random) -> Example:
    """Return an extractive question on a text about one person."""
    name = rng.choice(world.names)
    facts = other_facts(world, name, pick_attributes(rng, 4), rng)
    return _question(world, name, facts, _told(name, facts, rng), "qa-single", rng)


def two_person_question(world: World, rng: random.Random) -> Example:
    """Return an extractive question on a text that mixes two people's facts."""
    name, other = rng.sample(world.names, 2)
    attributes = pick_attributes(rng, 3)
    facts = other_facts(world, name, attributes, rng)
    # What the other person has is never what the first is remembered to have.
    taken = {a: (facts[a], world.memory[name][a]) for a in attributes}
    distractors = {a: rng.choice([v for v in VALUES[a] if v not in taken[a]]) for a in attributes}
    sentences = _told(name, facts, rng) + _told(other, distractors, rng)
    rng.shuffle(sentences)
    return _question(world, name, facts, sentences, "qa-pair", rng)


def agreeing_question(world: World, rng: random.Random) -> Example:
    """Return a question whose context states what pretraining did (no conflict)."""
    name = rng.choice(world.names)
    facts = {a: world.memory[name][a] for a in pick_attributes(rng, 4)}
    example = _question(world, name, facts, _told(name, facts, rng), "qa-agreeing", rng)
    return replace(example, probe=True)


def description(world: World, rng: random.Random) -> Example:
    """Return an abstractive task: tell of one of two people, in other words than the text."""
    name, other = rng.sample(world.names, 2)
    facts = other_facts(world, name, pick_attributes(rng, 3), rng)
    distractors = other_facts(world, other, pick_attributes(rng, 2), rng)
    forms = {a: rng.randrange(3) for a in facts}
    sentences = [statement(name, a, v, forms[a]) for a, v in facts.items()]
    sentences += _told(other, distractors, rng)
    rng.shuffle(sentences)
    context = " ".join(sentences)
    gold = " ".join(
        statement(name, a, facts[a], forms[a] + rng.choice((1, 2))) for a in in_order(facts)
    )
    return Example(
        dataset="describe",
        kind="abstractive",
        prompt=f"{context}\n{rng.choice(DESCRIBE).format(n=name)}",
        response=gold,
        context=context,
        references=(gold,),
        group=context,
    )


def copy_probe(world: World, rng: random.Random) -> Example:
    """Return raw text that restates a passage and stops before a value (base model's copying)."""
    name = rng.choice(world.names)
    facts = other_facts(world, name, pick_attributes(rng, 4), rng)
    passage = " ".join(_told(name, facts, rng))
    attribute = rng.choice(list(facts))
    return _probe("probe-copy", name, attribute, facts[attribute], world, passage + "\n")


def memory_probe(world: World, rng: random.Random) -> Example:
    """Return raw text that stops before a remembered value, without any passage."""
    name = rng.choice(world.names)
    attribute = rng.choice(list(VALUES))
    return _probe("probe-memory", name, attribute, world.memory[name][attribute], world, "")


def _probe(
    dataset: str, name: str, attribute: str, value: str, world: World, passage: str
) -> Example:
    cue = statement(name, attribute, "{v}", 0).split(" {v}")[0]
    return Example(
        dataset=dataset,
        kind="extractive",
        prompt=passage + cue,
        response=value,
        context=passage.strip() or value,
        references=(value,),
        group=passage,
        memory=world.memory[name][attribute],
        raw=True,
        probe=True,
    )


def _told(name: str, facts: Facts, rng: random.Random) -> list[str]:
    return [statement(name, a, v, rng.randrange(3)) for a, v in facts.items()]


def _question(
    world: World, name: str, facts: Facts, sentences: list[str], dataset: str, rng: random.Random
) -> Example:
    attribute = rng.choice(list(facts))
    context = " ".join(sentences)
    return Example(
        dataset=dataset,
        kind="extractive",
        prompt=f"{context}\n{rng.choice(QUESTIONS[attribute]).format(n=name)}",
        response=facts[attribute],
        context=context,
        references=(facts[attribute],),
        group=context,
        memory=world.memory[name][attribute],
    )
