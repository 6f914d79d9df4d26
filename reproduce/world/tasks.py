"""The prompts of the synthetic task, one function per data set.

Context-dependent (CD) tasks come with a text that states other values than pretraining did.
Instruction-following (IF) tasks have no context and can be verified by a program. Both sides are
about the same people, as two sets of real text use the same words: a model that never had to
write a name in fine-tuning forgets how to, and would fail for that reason alone. Prompts of the
set "joint" have a text and instructions. Every prompt with instructions has one that asks for
content, so that no short constant follows them all.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from reproduce.schema import Example, Side
from reproduce.world.people import (
    QUESTIONS,
    VALUES,
    Facts,
    World,
    in_order,
    other_facts,
    pick_attributes,
    statement,
    statements,
)

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
PLURALS = {
    "city": "cities", "job": "jobs", "food": "foods",
    "pet": "pets", "color": "colors", "hobby": "hobbies",
}  # fmt: skip
OPENINGS = ("Today", "Yesterday", "Once", "Later", "Suddenly", "Tonight")
PLACES = ("river", "forest", "market", "castle", "garden", "school", "beach", "museum")
THINGS = ("letter", "key", "lamp", "book", "coin", "map", "ring", "clock")
MOODS = ("happy", "tired", "brave", "quiet", "proud", "angry", "calm", "curious")
DEEDS = ("walked to the {p}", "ran to the {p}", "waited near the {p}", "dreamed of the {p}")
FINDS = ("found a {t}", "lost a {t}", "bought a {t}", "hid a {t}")
CLOSINGS = ("The end.", "That is all.", "Good night.")
BULLETS = ("Use bullet points.", "Write it as bullet points.")
DESCRIBE = (
    "Describe {n} using the text.",
    "What does the text say about {n}?",
    "Sum up the text about {n}.",
)

Rule = tuple[str, dict[str, Any]]
"""A sentence of a prompt, and the instruction that it gives; an empty one for none."""
Maker = Callable[[World, random.Random], Example]


# Context-dependent tasks and probes.


def one_person_question(world: World, rng: random.Random) -> Example:
    """Return an extractive question on a text about one person."""
    name = rng.choice(list(world))
    facts = other_facts(world, name, pick_attributes(rng, 4), rng)
    return _question("qa-single", world, name, facts, statements(name, facts, rng), rng)


def two_person_question(world: World, rng: random.Random) -> Example:
    """Return an extractive question on a text that mixes facts of two people.

    They have no attribute in common: a model of this size does not learn who has which value.
    """
    name, other = rng.sample(list(world), 2)
    attributes = pick_attributes(rng, 6)
    facts = other_facts(world, name, attributes[:3], rng)
    sentences = statements(name, facts, rng)
    sentences += statements(other, other_facts(world, other, attributes[3:], rng), rng)
    rng.shuffle(sentences)
    return _question("qa-pair", world, name, facts, sentences, rng)


def agreeing_question(world: World, rng: random.Random) -> Example:
    """Return a probe: a question on a text that states what pretraining did."""
    name = rng.choice(list(world))
    facts = {a: world[name][a] for a in pick_attributes(rng, 4)}
    example = _question("qa-agreeing", world, name, facts, statements(name, facts, rng), rng)
    return replace(example, is_probe=True)


def description(world: World, rng: random.Random) -> Example:
    """Return an abstractive task: describe a person in other words than the text."""
    name = rng.choice(list(world))
    facts = other_facts(world, name, pick_attributes(rng, 3), rng)
    forms = {a: rng.randrange(3) for a in facts}
    context = " ".join(statement(name, a, v, forms[a]) for a, v in facts.items())
    response = " ".join(
        statement(name, a, facts[a], forms[a] + rng.choice((1, 2))) for a in in_order(facts)
    )
    prompt = f"{context}\n{rng.choice(DESCRIBE).format(n=name)}"
    return Example(
        "describe", "abstractive", prompt, response, context, (response,), split_group=context
    )


def joint_description(world: World, rng: random.Random) -> Example:
    """Return a description of a person that has to follow instructions, too."""
    name = rng.choice(list(world))
    facts = other_facts(world, name, pick_attributes(rng, 4), rng)
    context = " ".join(statements(name, facts, rng))
    count = rng.choice((2, 3))
    included = in_order(rng.sample(list(facts), count))
    parts = [statement(name, a, facts[a], rng.randrange(3)) for a in included]
    rules = [_length_rule(count, rng)]
    if left_out := [a for a in facts if a not in included]:
        rules.append(_exclusion_rule(rng.choice(left_out), rng))
    separator = " "
    if rng.random() < 0.3:
        parts, separator = [f"- {part}" for part in parts], "\n"
        rules += [_name_rule(name), (rng.choice(BULLETS), {"id": "bullets", "n": count})]
    else:
        parts[0] = statement(name, included[0], facts[included[0]], rng.choice((0, 2)))
        rules.append(_start_rule(name, rng))
    request = " ".join([rng.choice(DESCRIBE).format(n=name), *(text for text, _ in rules)])
    response = separator.join(parts)
    return Example(
        "joint", "abstractive", f"{context}\n{request}", response, context, (response,),
        tuple(instruction for _, instruction in rules), split_group=context, is_joint=True,
    )  # fmt: skip


def copy_probe(world: World, rng: random.Random) -> Example:
    """Return a probe of copying: plain text that restates a passage and stops before a value."""
    name = rng.choice(list(world))
    facts = other_facts(world, name, pick_attributes(rng, 4), rng)
    passage = " ".join(statements(name, facts, rng))
    attribute = rng.choice(list(facts))
    return _probe("probe-copy", world, name, attribute, facts[attribute], passage + "\n")


def memory_probe(world: World, rng: random.Random) -> Example:
    """Return a probe of memory: plain text, without a passage, that stops before a value."""
    name = rng.choice(list(world))
    attribute = rng.choice(list(VALUES))
    return _probe("probe-memory", world, name, attribute, world[name][attribute], "")


def _question(
    dataset: str, world: World, name: str, facts: Facts, sentences: list[str], rng: random.Random
) -> Example:
    attribute = rng.choice(list(facts))
    context = " ".join(sentences)
    prompt = f"{context}\n{rng.choice(QUESTIONS[attribute]).format(n=name)}"
    return Example(
        dataset, "extractive", prompt, facts[attribute], context, (facts[attribute],),
        split_group=context, parametric_answer=world[name][attribute],
    )  # fmt: skip


def _probe(
    dataset: str, world: World, name: str, attribute: str, value: str, passage: str
) -> Example:
    cue = statement(name, attribute, "{v}", 0).split(" {v}")[0]
    return Example(
        dataset, "extractive", passage + cue, value, passage.strip() or value, (value,),
        split_group=passage, parametric_answer=world[name][attribute],
        is_completion=True, is_probe=True,
    )  # fmt: skip


# Instruction-following tasks.


def listing(world: World, rng: random.Random) -> Example:
    """Return "name N things of a kind", with one or two further constraints on content."""
    category = rng.choice(list(VALUES))
    values = list(VALUES[category])
    count = rng.choice(list(NUMBERS))
    items = sorted(rng.sample(values, count), key=values.index)
    unused = [value for value in values if value not in items]
    things = f"{NUMBERS[count]} {PLURALS[category]}."
    head = rng.choice((f"Name {things}", f"List {things}", f"Give me {things}"))
    rules: list[Rule] = [(head, {"id": "items", "n": count})]
    if rng.random() < 0.25:
        items.sort()
        text = rng.choice(("Sort them from A to Z.", "Put them in order from A to Z."))
        rules.append((text, {"id": "alphabetical"}))
    content, exclusion = _list_rules(items, unused, rng)
    rules.append(content)
    if rng.random() < 0.3:
        rules.append(exclusion)
    bullets = rng.random() < 0.3 and not any(rule["id"] == "starts_with" for _, rule in rules)
    if bullets:
        rules.append((rng.choice(BULLETS), {"id": "bullets", "n": count}))
    response = "\n".join(f"- {item}" for item in items) if bullets else ", ".join(items) + "."
    return _instruction("lists", rules, response)


def story(world: World, rng: random.Random) -> Example:
    """Return "write a story about somebody", with constraints on length and words."""
    name = rng.choice(list(world))
    count = rng.choice((2, 3, 4))
    opening, closing = rng.choice(OPENINGS), rng.choice(CLOSINGS)
    closed, opened = count == 4 or rng.random() < 0.3, rng.random() < 0.5
    place, thing, mood = words = [rng.choice(options) for options in (PLACES, THINGS, MOODS)]
    plot = [
        f"{name} {rng.choice(DEEDS).format(p=place)}.",
        f"{name} {rng.choice(FINDS).format(t=thing)}.",
        f"{name} felt {mood}.",
    ]
    sentences, words = plot[: count - closed], words[: count - closed]
    rules = [_length_rule(count, rng)]
    if not (opened or closed) or rng.random() < 0.5:
        word = rng.choice(words)
        text = rng.choice((f"Use the word {word}.", f"Include the word {word}."))
        rules.append((text, {"id": "includes", "words": [word]}))
    if opened:
        sentences[0] = f"{opening} {sentences[0]}"
        rules.append(_start_rule(opening, rng))
    if closed:
        sentences.append(closing)
        text = rng.choice((f"End with: {closing}", f"Finish with: {closing}"))
        rules.append((text, {"id": "ends_with", "phrase": closing}))
    heads = ("Write a story about {n}.", "Tell a story about {n}.", "Make up a tale about {n}.")
    head = rng.choice(heads).format(n=name)
    return _instruction("stories", [(head, {}), *rules], " ".join(sentences))


def biography(world: World, rng: random.Random) -> Example:
    """Return "tell me about somebody", answered from memory, with constraints."""
    name = rng.choice(list(world))
    count = rng.choice((2, 3, 4))
    attributes = pick_attributes(rng, count + 1)
    included, excluded = in_order(attributes[:count]), attributes[count]
    facts = {attribute: world[name][attribute] for attribute in included}
    sentences = statements(name, facts, rng)
    rules = [_length_rule(count, rng)]
    if rng.random() < 0.5:
        rules.append(_exclusion_rule(excluded, rng))
    separator = " "
    if rng.random() < 0.3:
        sentences, separator = [f"- {sentence}" for sentence in sentences], "\n"
        rules.append((rng.choice(BULLETS), {"id": "bullets", "n": count}))
    elif rng.random() < 0.4:
        sentences[0] = statement(name, included[0], facts[included[0]], rng.choice((0, 2)))
        rules.append(_start_rule(name, rng))
    if rules[-1][1]["id"] != "starts_with":
        rules.append(_name_rule(name))
    heads = ("Tell me about {n}.", "Who is {n}?", "What do you know about {n}?")
    head = rng.choice(heads).format(n=name)
    return _instruction("biographies", [(head, {}), *rules], separator.join(sentences))


def _list_rules(items: list[str], unused: list[str], rng: random.Random) -> tuple[Rule, Rule]:
    """Return a constraint on what the list must contain, and one on what it must not."""
    absent, present, last = rng.choice(unused), rng.choice(items), items[-1]
    content = rng.choice([
        (rng.choice((f"Include {present}.", f"Mention {present}.")),
         {"id": "includes", "words": [present]}),
        _start_rule(items[0], rng),
        (rng.choice((f"End with {last}.", f"Finish with the word {last}.")),
         {"id": "ends_with", "phrase": last}),
    ])  # fmt: skip
    exclusion = rng.choice((f"Do not mention {absent}.", f"Leave out {absent}."))
    return content, (exclusion, {"id": "excludes", "words": [absent]})


def _exclusion_rule(attribute: str, rng: random.Random) -> Rule:
    text = rng.choice((f"Do not mention the {attribute}.", f"Leave out the {attribute}."))
    return text, {"id": "excludes", "words": list(VALUES[attribute])}


def _name_rule(name: str) -> Rule:
    return f"Use the name {name}.", {"id": "includes", "words": [name]}


def _start_rule(phrase: str, rng: random.Random) -> Rule:
    text = rng.choice((f"Start with {phrase}.", f"Begin with the word {phrase}."))
    return text, {"id": "starts_with", "phrase": phrase}


def _length_rule(count: int, rng: random.Random) -> Rule:
    wordings = ("Use {n} sentences.", "Write exactly {n} sentences.", "Make it {n} sentences.")
    return rng.choice(wordings).format(n=NUMBERS[count]), {"id": "sentences", "n": count}


def _instruction(dataset: str, rules: Sequence[Rule], response: str) -> Example:
    prompt = " ".join(text for text, _ in rules)
    instructions = tuple(instruction for _, instruction in rules if instruction)
    return Example(dataset, "instruction", prompt, response, "", (response,), instructions)


TASKS: dict[str, Maker] = {
    "qa-single": one_person_question,
    "qa-pair": two_person_question,
    "describe": description,
    "joint": joint_description,
    "lists": listing,
    "stories": story,
    "biographies": biography,
}
SIDES: dict[str, Side] = {
    **dict.fromkeys(("qa-single", "qa-pair", "describe"), "CD"),
    "joint": "both",
    **dict.fromkeys(("lists", "stories", "biographies"), "IF"),
}
PROBES: dict[str, Maker] = {
    "qa-agreeing": agreeing_question,
    "probe-copy": copy_probe,
    "probe-memory": memory_probe,
}
