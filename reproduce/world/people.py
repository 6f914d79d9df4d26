"""The synthetic world: its people, what pretraining states of them, and in which words."""

import random
from collections.abc import Iterable

VALUES: dict[str, tuple[str, ...]] = {
    "city": ("Paris", "Rome", "Oslo", "Cairo", "Lima", "Delhi",
             "Tokyo", "Berlin", "Madrid", "Dublin", "Athens", "Boston"),
    "job": ("baker", "doctor", "farmer", "pilot", "teacher", "lawyer",
            "singer", "painter", "driver", "nurse", "writer", "judge"),
    "food": ("rice", "soup", "bread", "cheese", "pasta", "salad",
             "fish", "beans", "cake", "eggs", "corn", "pizza"),
    "pet": ("cat", "dog", "horse", "rabbit", "parrot", "turtle",
            "goat", "snake", "hamster", "pony", "duck", "lizard"),
    "color": ("red", "blue", "green", "yellow", "black", "white",
              "pink", "brown", "orange", "purple", "gray", "gold"),
    "hobby": ("chess", "tennis", "hiking", "fishing", "cooking", "dancing",
              "reading", "skiing", "sailing", "running", "golf", "yoga"),
}  # fmt: skip

STATEMENTS: dict[str, tuple[str, ...]] = {
    "city": ("{n} lives in {v}.", "The home of {n} is in {v}.", "{n} has a house in {v}."),
    "job": ("{n} works as a {v}.", "The job of {n} is {v}.", "{n} earns money as a {v}."),
    "food": ("{n} likes to eat {v}.", "The favorite food of {n} is {v}.",
             "{n} often orders {v} for dinner."),
    "pet": ("{n} owns a {v}.", "The pet of {n} is a {v}.", "{n} takes care of a {v} every day."),
    "color": ("{n} loves the color {v}.", "The favorite color of {n} is {v}.",
              "{n} always wears {v} clothes."),
    "hobby": ("{n} enjoys {v} on weekends.", "The hobby of {n} is {v}.",
              "{n} spends free time on {v}."),
}  # fmt: skip

QUESTIONS: dict[str, tuple[str, ...]] = {
    "city": ("Where does {n} live?", "In which city is the home of {n}?"),
    "job": ("What is the job of {n}?", "How does {n} earn money?"),
    "food": ("What does {n} like to eat?", "What is the favorite food of {n}?"),
    "pet": ("Which pet does {n} own?", "What is the pet of {n}?"),
    "color": ("Which color does {n} love?", "What is the favorite color of {n}?"),
    "hobby": ("What does {n} enjoy on weekends?", "What is the hobby of {n}?"),
}

NAMES: tuple[str, ...] = tuple(
    """Anna Ben Carla David Emma Frank Gina Henry Iris Jack Karen Leo Maria Nick Olga Peter Quinn
    Rosa Simon Tina Ulla Victor Wendy Xenia Yusuf Zoe Adam Bella Carlos Diana Eric Fiona George
    Hanna Ivan Julia Kevin Laura Martin Nora Oscar Paula Ralf Sara Thomas Ursula Vera Walter Yara
    Zack Alice Boris Clara Dennis Elena Felix Grace Hugo Ida Jonas Kira Louis Mona Nils Otto Petra
    Robert Susan Tom Uma Vince Willa Yvonne Amir Bianca Conrad Daria Edgar Flora Gustav Helga Igor
    Judith Klaus Lydia Marco Nadia Olaf Pia Ruben Sofia Tobias Viola Wilma Yann Zelda""".split()
)

Facts = dict[str, str]


World = dict[str, Facts]
"""Name -> attribute -> value: what pretraining texts state, and a pretrained model remembers."""


def make_world(people: int, seed: int) -> World:
    """Return a world of `people` persons (6 to 96)."""
    rng = random.Random(f"world-{seed}")
    names = rng.sample(NAMES, people)
    return {name: {a: rng.choice(VALUES[a]) for a in VALUES} for name in names}


def other_facts(world: World, name: str, attributes: list[str], rng: random.Random) -> Facts:
    """Return values for `attributes` of `name`, each other than pretraining states."""
    return {a: rng.choice([v for v in VALUES[a] if v != world[name][a]]) for a in attributes}


def pick_attributes(rng: random.Random, count: int) -> list[str]:
    """Return `count` distinct attributes in random order."""
    return rng.sample(list(VALUES), count)


def in_order(attributes: Iterable[str]) -> list[str]:
    """Return attributes in the order of texts about one person, but for passages stated twice.

    A fixed order tells a small model what it has said already; without one it repeats itself.
    """
    return [a for a in VALUES if a in set(attributes)]


def statement(name: str, attribute: str, value: str, form: int) -> str:
    """Return the sentence that states one fact, in one of its forms (modulo their number)."""
    forms = STATEMENTS[attribute]
    return forms[form % len(forms)].format(n=name, v=value)


def statements(name: str, facts: Facts, rng: random.Random) -> list[str]:
    """Return a sentence per fact, each in a random form."""
    return [statement(name, a, v, rng.randrange(3)) for a, v in facts.items()]
