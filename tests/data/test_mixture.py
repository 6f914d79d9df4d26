"""Mixtures: the right share of the right sets, whatever the order they are named in."""

from collections import Counter
from dataclasses import replace

import pytest

from reproduce.data.mixture import mix, with_flaws
from reproduce.schema import Example

KINDS = {"b-list": "instruction", "a-story": "instruction", "c-bio": "instruction",
         "joint": "abstractive",
         "qa": "extractive", "digest": "abstractive"}  # fmt: skip
SIZES = {"b-list": 40, "a-story": 20, "c-bio": 10, "qa": 30, "digest": 8, "joint": 12}
SETS = {
    name: [
        Example(name, kind, f"{name} {i}", "", is_joint=name == "joint") for i in range(SIZES[name])
    ]
    for name, kind in KINDS.items()
}


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"IF": 0.5}, {"b-list": 20, "a-story": 10, "c-bio": 5}),
        ({"IF": 0.1, "CD": 1}, {"b-list": 4, "a-story": 2, "c-bio": 1, "qa": 30, "digest": 8}),
        ({"both": 0.5}, {"joint": 6}),
        ({"qa": 0.1, "a-story": 0.1}, {"qa": 3, "a-story": 2}),
        ({"IF": 1, "a-story": 0.5}, {"b-list": 40, "a-story": 20, "c-bio": 10}),
        ({}, {}),
    ],
)
def test_shares(shares: dict[str, float], expected: dict[str, int]) -> None:
    examples = mix(SETS, shares, 0)
    assert dict(Counter(e.dataset for e in examples)) == expected
    assert all(e in SETS[e.dataset] for e in examples)
    assert len({e.id for e in examples}) == len(examples)


@pytest.mark.parametrize("part", ["if", "XX", "IF/1", ""])
def test_an_unknown_part_is_named(part: str) -> None:
    with pytest.raises(KeyError) as raised:
        mix(SETS, {"CD": 1, part: 1}, 0)
    assert f"'{part}'" in str(raised.value) and "qa" in str(raised.value)


def test_the_seed_decides_which_and_every_position_is_drawn_equally_often() -> None:
    assert mix(SETS, {"IF": 0.5}, 0) == mix(SETS, {"IF": 0.5}, 0) != mix(SETS, {"IF": 0.5}, 1)
    drawn = Counter(e.prompt for seed in range(300) for e in mix(SETS, {"c-bio": 0.3}, seed))
    # 300 draws of 3 in 10: mean 90, standard deviation 8.
    assert len(drawn) == 10 and all(55 < n < 125 for n in drawn.values())


def test_the_order_of_sets_and_of_shares_does_not_matter() -> None:
    backwards = dict(reversed(SETS.items()))
    shares = {"a-story": 0.5, "CD": 0.3, "b-list": 0.2}
    examples = mix(SETS, shares, 4)
    assert examples == mix(backwards, dict(reversed(shares.items())), 4)
    assert examples == sorted(examples, key=lambda e: (e.dataset, e.id))


def test_a_set_is_drawn_alike_whatever_else_is_mixed_in_and_more_of_it_keeps_less_of_it() -> None:
    alone, more = mix(SETS, {"qa": 0.3}, 2), mix(SETS, {"qa": 1.0}, 2)
    assert alone == [e for e in mix(SETS, {"IF": 0.1, "CD": 0.3}, 2) if e.dataset == "qa"]
    assert {e.id for e in alone} < {e.id for e in more}


def flawed_in(examples: list[Example], share: float, seed: int) -> set[str]:
    return {e.id for e in with_flaws(examples, share, seed) if e.response == "flawed"}


def test_the_same_examples_are_flawed_in_all_arms_of_a_seed_and_nested_in_the_share() -> None:
    examples = [
        Example("a", "instruction", f"{n}", "", flawed_response="flawed") for n in range(600)
    ]
    some, more = (flawed_in(examples, share, 0) for share in (0.3, 0.6))
    assert some < more and flawed_in(examples, 0, 0) == set()
    assert len(flawed_in(examples, 1, 0)) == 600
    # 180 and 360 of 600, sd 11 and 12.
    assert 140 < len(some) < 220 and 315 < len(more) < 405
    assert flawed_in(examples[::3], 0.3, 0) == some & {e.id for e in examples[::3]}
    assert flawed_in(examples, 0.3, 1) not in (some, more)


def test_a_flawed_example_keeps_its_clean_response() -> None:
    plain = Example("a", "extractive", "q", "right", "right here", ("right", "the right one"))
    flawed = replace(plain, flawed_response="wrong", flaw="memory")
    changed = replace(flawed, response="wrong", references=("wrong",), clean_response="right")
    assert with_flaws([plain, flawed], 1, 0) == [plain, changed]
