"""All data sets of the world; train and evaluation share no prompt and no passage.

They share the people, as two sets of real text share their words: a model that never had to
write a name in fine-tuning forgets how to, and would fail for that reason alone.
"""

import random
from collections.abc import Callable

from reproduce.schema import Example, Side
from reproduce.world import context_tasks, open_tasks
from reproduce.world.people import World

Maker = Callable[[World, random.Random], Example]

TASKS: dict[str, Maker] = {
    "qa-single": context_tasks.one_person_question,
    "qa-pair": context_tasks.two_person_question,
    "describe": context_tasks.description,
    "lists": open_tasks.listing,
    "stories": open_tasks.story,
    "biographies": open_tasks.biography,
}
SIDES: dict[str, Side] = {
    **dict.fromkeys(("qa-single", "qa-pair", "describe"), "CD"),
    **dict.fromkeys(("lists", "stories", "biographies"), "IF"),
}
PROBES: dict[str, Maker] = {
    "qa-agreeing": context_tasks.agreeing_question,
    "probe-copy": context_tasks.copy_probe,
    "probe-memory": context_tasks.memory_probe,
}


def evaluation_sets(world: World, size: int, seed: int) -> dict[str, list[Example]]:
    """Return `size` distinct prompts a set, tasks and probes."""
    makers = {**TASKS, **PROBES}
    return {
        name: _distinct(makers[name], world, size, f"eval-{name}-{seed}", set()) for name in makers
    }


def training_sets(
    world: World, size: int, seed: int, held_out: dict[str, list[Example]]
) -> dict[str, list[Example]]:
    """Return `size` distinct prompts a task; no prompt and no passage of them is in `held_out`."""
    taken = {key for examples in held_out.values() for e in examples for key in _keys(e)}
    return {
        name: _distinct(maker, world, size, f"train-{name}-{seed}", taken)
        for name, maker in TASKS.items()
    }


def _distinct(maker: Maker, world: World, size: int, seed: str, taken: set[str]) -> list[Example]:
    rng = random.Random(seed)
    found: dict[str, Example] = {}
    for _ in range(size * 50):
        if len(found) == size:
            return list(found.values())
        example = maker(world, rng)
        if not taken.intersection(_keys(example)):
            found.setdefault(example.prompt, example)
    raise ValueError(f"data set of {seed}: the world holds fewer than {size} distinct prompts")


def _keys(example: Example) -> set[str]:
    return {example.prompt, example.context} - {""}
