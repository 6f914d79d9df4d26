"""Mixtures: the right share of the right sets, whatever the order they are named in."""

from collections import Counter

import pytest

from reproduce.data.mixture import mix
from reproduce.schema import Example

KINDS = {"b-list": "instruction", "a-story": "instruction", "c-bio": "instruction",
         "qa": "extractive", "digest": "abstractive"}  # fmt: skip
SIZES = {"b-list": 40, "a-story": 20, "c-bio": 10, "qa": 30, "digest": 8}
SETS = {
    name: [Example(name, kind, f"{name} {i}", "") for i in range(SIZES[name])]
    for name, kind in KINDS.items()
}


def counts(shares: dict[str, float], seed: int = 0) -> dict[str, int]:
    return dict(Counter(e.dataset for e in mix(SETS, shares, seed)))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"IF": 0.5}, {"b-list": 20, "a-story": 10, "c-bio": 5}),
        ({"CD": 0.5}, {"qa": 15, "digest": 4}),
        ({"IF": 0.1, "CD": 1}, {"b-list": 4, "a-story": 2, "c-bio": 1, "qa": 30, "digest": 8}),
        ({"IF/1": 1}, {"a-story": 20}),
        ({"IF/2": 0.25}, {"b-list": 10}),
        ({"IF/3": 1}, {"c-bio": 10}),
        ({"CD/1": 1}, {"digest": 8}),
        ({"CD/2": 0.1, "IF/1": 0.1}, {"qa": 3, "a-story": 2}),
        ({"qa": 0.9}, {"qa": 27}),
        ({}, {}),
    ],
)
def test_shares(shares: dict[str, float], expected: dict[str, int]) -> None:
    assert counts(shares) == expected


@pytest.mark.parametrize(
    "part", ["if", "XX", "IF/0", "IF/4", "CD/3", "IF/", "IF/x", "XX/1", "", "IF/-1"]
)
def test_an_unknown_part_is_named(part: str) -> None:
    with pytest.raises(KeyError) as found:
        mix(SETS, {"CD": 1, part: 1}, 0)
    assert f"'{part}' is neither a side" in str(found.value)
    assert "qa" in str(found.value)


def test_no_example_comes_twice_and_all_are_real() -> None:
    found = mix(SETS, {"IF": 0.5, "CD": 0.5}, 0)
    assert len({e.id for e in found}) == len(found)
    assert all(e in SETS[e.dataset] for e in found)


def test_parts_that_overlap_give_no_example_twice() -> None:
    found = mix(SETS, {"IF": 0.5, "IF/1": 0.5}, 0)
    assert len({e.id for e in found}) == len(found)


def test_the_seed_decides_which() -> None:
    one, again, other = (mix(SETS, {"IF": 0.5}, seed) for seed in (0, 0, 1))
    assert one == again != other


def test_the_draw_does_not_sort_by_position() -> None:
    taken = Counter(e.prompt for s in range(300) for e in mix(SETS, {"c-bio": 0.3}, s))
    # 300 draws of 3 in 10: mean 90, standard deviation 8.
    assert len(taken) == 10 and all(55 < n < 125 for n in taken.values())


def test_the_order_of_sets_and_of_shares_does_not_matter() -> None:
    backwards = dict(reversed(SETS.items()))
    shares = {"IF/1": 0.5, "CD": 0.3, "b-list": 0.2}
    found = mix(SETS, shares, 4)
    assert found == mix(backwards, shares, 4) == mix(SETS, dict(reversed(shares.items())), 4)
    assert found == sorted(found, key=lambda e: (e.dataset, e.id))


def test_a_set_is_drawn_alike_whatever_else_is_mixed_in() -> None:
    alone = mix(SETS, {"CD/2": 0.5}, 2)
    assert alone == [e for e in mix(SETS, {"IF": 0.1, "CD": 0.5}, 2) if e.dataset == "qa"]


def test_more_of_a_set_keeps_what_less_of_it_has() -> None:
    less, more = (set(e.id for e in mix(SETS, {"qa": share}, 0)) for share in (0.3, 1.0))
    assert less < more
