"""ReSet's reward and selection, on hand-made candidates and against a plain loop."""

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reproduce.config import Selection, Weights
from reproduce.reset.sample import seen_prompts
from reproduce.reset.select import considered, reward, select, selected_examples, taken
from reproduce.schema import Example, write_examples
from reproduce.utils.files import UnusableFile, sealed_folder

Row = dict[str, Any]
STRATEGIES = ("cold", "warm", "top-k")


def row(
    example: str, score: float | None, strategy: str = "cold", sample: int = 0, **more: Any
) -> Row:
    return {
        "dataset": "a",
        "example": example,
        "strategy": strategy,
        "sample": sample,
        "response": f"{example} {strategy} {sample}",
        "ended": True,
        "task": score,
        "faithfulness": None,
        "instruction": None,
        **more,
    }


def random_rows(seed: int, ties: bool = False) -> list[Row]:
    rng = random.Random(seed)

    def score() -> float | None:
        value = rng.choice([0.0, 0.5, 1.0]) if ties else rng.random()
        return rng.choice([None, value, value])

    return [
        row(f"{dataset}{prompt}", score(), strategy, sample, dataset=dataset,
            faithfulness=score(), instruction=score(),
            response=rng.choice(["", f"text {rng.random()}", "some text"]),
            ended=rng.random() < 0.8)
        for dataset, prompts in (("b", 7), ("a", 10), ("c", 1))
        for prompt in range(prompts)
        for strategy in STRATEGIES
        for sample in range(3)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "weights", "expected"),
    [
        ((0.2, 0.4, 0.9), {}, 0.5),
        ((0.2, 0.4, 0.9), {"task": 2}, 1.7 / 4),
        ((0.2, 0.4, 0.9), {"task": 0, "faithfulness": 3, "instruction": 1}, 2.1 / 4),
        ((0.2, None, 0.9), {}, 0.55),
        ((0.2, None, 0.9), {"instruction": 3}, 2.9 / 4),
        ((None, -0.5, None), {}, -0.5),
        ((0.2, None, None), {"task": 0}, 0.0),
        ((None, None, None), {}, 0.0),
        ((0.0, 1.0, None), {"task": 0}, 1.0),
    ],
)
def test_reward(scores: tuple, weights: dict[str, float], expected: float) -> None:
    names = ("task", "faithfulness", "instruction")
    found = reward(dict(zip(names, scores, strict=True)), Weights(**weights))
    assert found == pytest.approx(expected)


def test_only_named_strategies_are_considered() -> None:
    rows = [row("p", 1, strategy, n) for strategy in STRATEGIES for n in range(2)]
    found = considered(rows, Selection(keep=1, strategies=["warm", "top-k"]))
    assert found == [r for r in rows if r["strategy"] != "cold"]
    assert considered(rows, Selection(keep=1)) == rows


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1 / 6, ["cold 0"]),
        (0.5, ["cold 0", "warm 0", "top-k 0"]),
        (0.55, ["cold 0", "warm 0", "top-k 0", "cold 1"]),
        (1.0, ["cold 0", "warm 0", "top-k 0", "cold 1", "warm 1", "top-k 1"]),
    ],
)
def test_strategies_take_turns(share: float, expected: list[str]) -> None:
    rows = [row(p, 1, s, n) for s in STRATEGIES for p in ("p", "q") for n in range(2)]
    found = considered(rows, Selection(keep=1, candidates=share))
    for prompt in ("p", "q"):
        ours = [r for r in found if r["example"] == prompt]
        assert [f"{r['strategy']} {r['sample']}" for r in ours] == expected
    assert len(found) == 2 * len(expected)


def test_the_share_is_of_all_candidates_and_taken_of_the_named_strategies() -> None:
    rows = [row("p", 1, s, n) for s in STRATEGIES for n in range(2)]
    found = considered(rows, Selection(keep=1, candidates=1 / 3, strategies=["warm"]))
    assert [(r["strategy"], r["sample"]) for r in found] == [("warm", 0), ("warm", 1)]


def test_empty_responses_are_dropped() -> None:
    rows = [row("p", 1, sample=0, response=""), row("p", 0, sample=1), row("q", 1, response="")]
    assert considered(rows, Selection(keep=1)) == [rows[1]]
    assert considered(rows, Selection(keep=1, candidates=1.0)) == [rows[1]]
    # An empty response takes its turn: the first candidate is looked at, and it is empty.
    assert considered(rows, Selection(keep=1, candidates=0.5)) == []


def test_responses_that_were_cut_off_are_dropped() -> None:
    rows = [row("p", 1, ended=False), row("p", 0, sample=1), row("q", 1, ended=False)]
    assert considered(rows, Selection(keep=1)) == [rows[1]]
    assert taken(rows, Selection(keep=1)) == rows
    # It takes its turn, like an empty one.
    assert considered(rows, Selection(keep=1, candidates=0.5)) == []


def test_the_best_of_each_prompt_is_kept() -> None:
    rows = [row("p", 0.2), row("p", 0.9, "warm"), row("q", 0.1), row("q", None, "warm")]
    found = select(rows, Selection(keep=1), 0)
    assert [(r["example"], r["strategy"], r["reward"]) for r in found] == [
        ("p", "warm", 0.9),
        ("q", "cold", 0.1),
    ]
    assert "reward" not in rows[0]


@pytest.mark.parametrize(
    ("keep", "prompts", "expected"),
    [(1.0, 10, 10), (0.5, 10, 5), (0.5, 5, 3), (0.01, 10, 1), (0.3, 10, 3), (0.1125, 200, 23),
     (0.0375, 200, 8), (0.3, 200, 60), (0.07, 100, 7), (0.14, 50, 7)],
)  # fmt: skip
def test_the_share_is_rounded_up_exactly(keep: float, prompts: int, expected: int) -> None:
    rows = [row(f"p{n}", n / prompts) for n in range(prompts)]
    found = select(rows, Selection(keep=keep), 0)
    best = [f"p{prompts - 1 - n}" for n in range(expected)]
    assert [r["example"] for r in found] == best


def test_each_data_set_keeps_its_own_share() -> None:
    # Every prompt of "b" is better than every prompt of "a".
    rows = [row(f"{d}{n}", n / 10 + (d == "b"), dataset=d) for d in "ba" for n in range(4)]
    found = select(rows, Selection(keep=0.5), 0)
    assert [r["example"] for r in found] == ["a3", "a2", "b3", "b2"]


@pytest.mark.parametrize("rule", ["best", "random", "shuffled", "gold"])
def test_nothing_gives_nothing(rule: str) -> None:
    assert select([], Selection(keep=0.5, rule=rule), 0) == []
    assert selected_examples([], [], Selection(keep=0.5, rule=rule), 0) == []


@pytest.mark.parametrize("rule", ["best", "random", "shuffled", "gold"])
def test_a_selection_is_seeded(rule: str) -> None:
    rows, selection = random_rows(0, ties=True), Selection(keep=0.5, rule=rule)
    assert select(rows, selection, 3) == select(rows, selection, 3)
    assert select(rows, selection, 3) != select(rows, selection, 4)


def test_ties_favour_no_place() -> None:
    # 5 prompts of 4 equal candidates, 2 prompts kept: by 400 seeds each prompt is kept 160
    # times (sd 10), and each of its candidates a quarter of that (sd 6).
    rows = [row(f"p{n}", 0.5, sample=s) for n in range(5) for s in range(4)]
    kept = [r for seed in range(400) for r in select(rows, Selection(keep=0.4), seed)]
    prompts = Counter(r["example"] for r in kept)
    assert len(prompts) == 5 and all(110 < n < 210 for n in prompts.values())
    samples = Counter(r["sample"] for r in kept)
    assert len(samples) == 4 and all(140 < n < 260 for n in samples.values())


def test_a_random_choice_ignores_the_scores() -> None:
    rows = [row("p", score, sample=n) for n, score in enumerate((1.0, 0.5, 0.0))]
    taken = Counter(
        select(rows, Selection(keep=1, rule="random"), s)[0]["sample"] for s in range(300)
    )
    assert all(60 < taken[n] < 140 for n in range(3))


def test_shuffled_rewards_are_the_same_rewards() -> None:
    rows = [row(f"p{n}", n / 40) for n in range(40)]
    found = select(rows, Selection(keep=1, rule="shuffled"), 0)
    assert sorted(r["reward"] for r in found) == [n / 40 for n in range(40)]
    agreeing = sum(r["reward"] == r["task"] for r in found)
    assert agreeing < 8
    assert [r["reward"] for r in found] == sorted((r["reward"] for r in found), reverse=True)


def test_the_gold_rule_keeps_the_prompts_of_the_best_and_trains_on_gold() -> None:
    prompts = [Example("a", "instruction", f"p{n}", f"gold {n}", id=f"p{n}") for n in range(20)]
    rows = [row(f"p{n}", n / 20) for n in range(20)]
    rows += [row(f"p{n}", (19 - n) / 30, "warm") for n in range(20)]
    for seed in range(5):
        best, gold = (
            selected_examples(prompts, rows, Selection(keep=0.3, rule=rule), seed)
            for rule in ("best", "gold")
        )
        assert [e.id for e in gold] == [e.id for e in best] and len(gold) == 6
        assert all(e in prompts for e in gold) and not any(e in prompts for e in best)


def test_selected_examples_carry_the_generated_response() -> None:
    rule = {"id": "no_comma"}
    prompts = [
        Example("a", "instruction", "p", "gold", instructions=(rule,), id="p"),
        Example("a", "extractive", "q", "gold", "context", ("ref",), id="q"),
        Example("a", "instruction", "never sampled", "gold", id="z"),
    ]
    rows = [row("q", 0.5), row("p", 0.2), row("p", 0.9, "warm"), row("q", 0.1, "warm")]
    found = selected_examples(prompts, rows, Selection(keep=1), 0)
    assert [(e.id, e.response) for e in found] == [("p", "p warm 0"), ("q", "q cold 0")]
    assert (found[0].prompt, found[0].instructions) == ("p", (rule,))
    assert (found[1].context, found[1].references) == ("context", ("ref",))
    assert prompts[0].response == "gold"


def plain_considered(rows: list[Row], selection: Selection) -> list[Row]:
    found = []
    for prompt in dict.fromkeys(r["example"] for r in rows):
        left = [r for r in rows if r["example"] == prompt]
        if selection.strategies is not None:
            left = [r for r in left if r["strategy"] in selection.strategies]
        queue = []
        for sample in range(3):
            for strategy in STRATEGIES:
                queue += [r for r in left if (r["sample"], r["strategy"]) == (sample, strategy)]
        drawn = sum(r["example"] == prompt for r in rows)
        count = 0
        while count < (selection.candidates or 1.0) * drawn - 1e-9:
            count += 1
        found += queue[:count]
    return [r for r in found if r["response"] != "" and r["ended"]]


def plain_reward(candidate: Row, weights: Weights) -> float:
    total = weight_sum = 0.0
    for name in ("task", "faithfulness", "instruction"):
        if candidate[name] is not None:
            total += getattr(weights, name) * candidate[name]
            weight_sum += getattr(weights, name)
    return total / weight_sum if weight_sum > 0 else 0.0


def plain_select(rows: list[Row], selection: Selection) -> list[tuple[str, float]]:
    """Return (prompt, reward) of what is kept; without ties there is one answer."""
    found: list[tuple[str, float]] = []
    for dataset in sorted({r["dataset"] for r in rows}):
        best: dict[str, float] = {}
        for r in rows:
            if r["dataset"] == dataset:
                value = plain_reward(r, selection.weights)
                if r["example"] not in best or value > best[r["example"]]:
                    best[r["example"]] = value
        order = sorted(best.items(), key=lambda item: -item[1])
        count = 0
        while count < selection.keep * len(order) - 1e-9:
            count += 1
        found += order[:count]
    return found


@pytest.mark.parametrize("strategies", [None, ["warm"], ["cold", "top-k"]])
@pytest.mark.parametrize("candidates", [None, 0.1, 0.5])
@pytest.mark.parametrize("keep", [0.15, 0.5, 1.0])
def test_a_plain_loop_agrees(
    strategies: list[str] | None, candidates: float | None, keep: float
) -> None:
    for seed in range(5):
        rows = random_rows(seed)
        selection = Selection(
            strategies=strategies, candidates=candidates, keep=keep, weights=Weights(task=0.7)
        )
        ours, theirs = considered(rows, selection), plain_considered(rows, selection)
        assert sorted(map(str, ours)) == sorted(map(str, theirs))
        found = select(ours, selection, seed)
        rewards = [r["reward"] for r in found]
        assert rewards == pytest.approx([value for _, value in plain_select(theirs, selection)])
        for kept in found:
            assert kept["reward"] == plain_reward(kept, selection.weights)
            best = [r for r in ours if r["example"] == kept["example"]]
            assert kept["reward"] == max(plain_reward(r, selection.weights) for r in best)
        assert len({r["example"] for r in found}) == len(found)


def test_every_part_of_a_selection_is_at_most_its_share() -> None:
    rows = random_rows(1)
    sizes = Counter(name for name, _ in {(r["dataset"], r["example"]) for r in rows})
    kept = Counter(r["dataset"] for r in select(rows, Selection(keep=0.3), 0))
    assert kept == {name: math.ceil(0.3 * size) for name, size in sizes.items()}


def write_arm(target: Path, sizes: dict[str, int]) -> list[Example]:
    examples = [
        Example(name, "instruction", f"{name} {n}", "r")
        for name, k in sizes.items()
        for n in range(k)
    ]
    with sealed_folder(target) as folder:
        (folder / "seed-0").mkdir()
        write_examples(folder / "seed-0" / "train.jsonl", examples)
    return examples


def test_seen_prompts_are_prompts_of_the_arm(tmp_path: Path) -> None:
    examples = write_arm(tmp_path / "arm", {"b": 10, "a": 3})
    found = seen_prompts(tmp_path / "arm", 0, 5, lambda _: True)
    assert Counter(e.dataset for e in found) == {"a": 3, "b": 5}
    assert all(e in examples for e in found) and len({e.id for e in found}) == 8
    assert found == seen_prompts(tmp_path / "arm", 0, 5, lambda _: True)


def test_what_was_too_long_to_be_trained_on_was_not_seen(tmp_path: Path) -> None:
    write_arm(tmp_path / "arm", {"b": 10, "a": 3})
    found = seen_prompts(tmp_path / "arm", 0, 5, lambda e: e.prompt != "a 1" and e.dataset == "a")
    assert sorted(e.prompt for e in found) == ["a 0", "a 2"]


def test_seen_prompts_of_a_damaged_arm_are_refused(tmp_path: Path) -> None:
    write_arm(tmp_path / "arm", {"a": 3})
    (tmp_path / "arm" / "seed-0" / "train.jsonl").write_text("{}\n")
    with pytest.raises(UnusableFile, match=r"train\.jsonl"):
        seen_prompts(tmp_path / "arm", 0, 5, lambda _: True)
