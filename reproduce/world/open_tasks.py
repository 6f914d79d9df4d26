"""Open-ended instruction-following (IF) tasks without context, each verifiable by a program."""

import random
from typing import Any

from reproduce.schema import Example
from reproduce.world.people import VALUES, World, in_order, pick_attributes, statement

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

Rule = tuple[str, dict[str, Any]]


def say(rng: random.Random, *wordings: str) -> str:
    """Return one of several wordings of the same instruction."""
    return rng.choice(wordings)


def listing(world: World, rng: random.Random) -> Example:
    """Return "name N things of a kind", with up to two further constraints."""
    category = rng.choice(list(VALUES))
    values = list(VALUES[category])
    count = rng.choice(list(NUMBERS))
    items = sorted(rng.sample(values, count), key=values.index)
    unused = [v for v in values if v not in items]
    number, plural = NUMBERS[count], PLURALS[category]
    head = say(
        rng, f"Name {number} {plural}.", f"List {number} {plural}.", f"Give me {number} {plural}."
    )
    rules: list[Rule] = [(head, {"id": "items", "n": count})]
    if rng.random() < 0.25:
        items.sort()
        rules.append(
            (
                say(rng, "Sort them from A to Z.", "Put them in order from A to Z."),
                {"id": "alphabetical"},
            )
        )
    else:
        rules += rng.sample(_list_rules(items, unused, rng), rng.choice((0, 1, 2)))
    bullets = rng.random() < 0.3 and not any(r["id"] == "starts_with" for _, r in rules)
    if bullets:
        rules.append(
            (
                say(rng, "Use bullet points.", "Write it as bullet points."),
                {"id": "bullets", "n": count},
            )
        )
    response = "\n".join(f"- {i}" for i in items) if bullets else ", ".join(items) + "."
    return _example("lists", rules, response)


def story(world: World, rng: random.Random) -> Example:
    """Return "write a story about somebody", with constraints on length and words."""
    name = rng.choice(world.names)
    count = rng.choice((2, 3, 4))
    opening, closing = rng.choice(OPENINGS), rng.choice(CLOSINGS)
    closed, opened = count == 4 or rng.random() < 0.3, rng.random() < 0.5
    body, words = _plot(name, count - closed, rng)
    rules = [_length_rule(count, rng)]
    if rng.random() < 0.5:
        word = rng.choice(words)
        text = say(rng, f"Use the word {word}.", f"Include the word {word}.")
        rules.append((text, {"id": "includes", "words": [word]}))
    if opened:
        body[0] = f"{opening} {body[0]}"
        text = say(rng, f"Start with {opening}.", f"Begin with the word {opening}.")
        rules.append((text, {"id": "starts_with", "phrase": opening}))
    if closed:
        body.append(closing)
        text = say(rng, f"End with: {closing}", f"Finish with: {closing}")
        rules.append((text, {"id": "ends_with", "phrase": closing}))
    wordings = ("Write a story about {n}.", "Tell a story about {n}.", "Make up a tale about {n}.")
    head = say(rng, *wordings).format(n=name)
    return _example("stories", [(head, {}), *rules], " ".join(body))


def biography(world: World, rng: random.Random) -> Example:
    """Return "tell me about somebody", answered from memory, with constraints."""
    name = rng.choice(world.names)
    count = rng.choice((2, 3, 4))
    attributes = pick_attributes(rng, count + 1)
    kept, dropped = in_order(attributes[:count]), attributes[count]
    facts = [statement(name, a, world.memory[name][a], rng.randrange(3)) for a in kept]
    rules = [_length_rule(count, rng)]
    if rng.random() < 0.5:
        rules.append((say(rng, f"Do not mention the {dropped}.", f"Leave out the {dropped}."),
                      {"id": "excludes", "words": list(VALUES[dropped])}))  # fmt: skip
    if rng.random() < 0.3:
        facts = [f"- {fact}" for fact in facts]
        rules.append(
            (
                say(rng, "Use bullet points.", "Write it as bullet points."),
                {"id": "bullets", "n": count},
            )
        )
    elif rng.random() < 0.4:
        facts[0] = statement(name, kept[0], world.memory[name][kept[0]], rng.choice((0, 2)))
        rules.append((say(rng, f"Start with {name}.", f"Begin with the word {name}."),
                      {"id": "starts_with", "phrase": name}))  # fmt: skip
    head = say(rng, f"Tell me about {name}.", f"Who is {name}?", f"What do you know about {name}?")
    response = ("\n" if facts[0].startswith("- ") else " ").join(facts)
    return _example("biographies", [(head, {}), *rules], response)


def _list_rules(items: list[str], unused: list[str], rng: random.Random) -> list[Rule]:
    absent, present = rng.choice(unused), rng.choice(items)
    return [
        (say(rng, f"Include {present}.", f"Mention {present}."),
         {"id": "includes", "words": [present]}),
        (say(rng, f"Do not mention {absent}.", f"Leave out {absent}."),
         {"id": "excludes", "words": [absent]}),
        (say(rng, f"Start with {items[0]}.", f"Begin with the word {items[0]}."),
         {"id": "starts_with", "phrase": items[0]}),
        (say(rng, f"End with {items[-1]}.", f"Finish with the word {items[-1]}."),
         {"id": "ends_with", "phrase": items[-1]}),
    ]  # fmt: skip


def _plot(name: str, count: int, rng: random.Random) -> tuple[list[str], list[str]]:
    place, thing, mood = (rng.choice(words) for words in (PLACES, THINGS, MOODS))
    sentences = [
        f"{name} {rng.choice(DEEDS).format(p=place)}.",
        f"{name} {rng.choice(FINDS).format(t=thing)}.",
        f"{name} felt {mood}.",
    ]
    return sentences[:count], [place, thing, mood][:count]


def _length_rule(count: int, rng: random.Random) -> Rule:
    number = NUMBERS[count]
    text = say(
        rng,
        f"Use {number} sentences.",
        f"Write exactly {number} sentences.",
        f"Make it {number} sentences.",
    )
    return text, {"id": "sentences", "n": count}


def _example(dataset: str, rules: list[Rule], response: str) -> Example:
    return Example(
        dataset=dataset,
        kind="instruction",
        prompt=" ".join(text for text, _ in rules),
        response=response,
        references=(response,),
        instructions=tuple(rule for _, rule in rules if rule),
    )
