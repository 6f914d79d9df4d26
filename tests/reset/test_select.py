"""ReSet's reward and selection, on hand-made candidates and against a plain loop."""

import math
import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from reproduce.config import Selection, Weights
from reproduce.reset.sample import sample_prompts
from reproduce.reset.select import (
    accepted,
    candidate_pool,
    complete_candidates,
    judgement_of,
    preferences_from,
    reward,
    select,
    training_examples_from,
)
from reproduce.schema import Candidate, Example, Judgement

STRATEGIES = ("cold", "warm", "top-k")


def candidate(
    example: str, task: float | None, strategy: str = "cold", sample: int = 0, dataset: str = "a",
    response: str | None = None, finished: bool = True,
    faithfulness: float | None = None, instruction: float | None = None,
) -> Candidate:  # fmt: skip
    text = f"{example} {strategy} {sample}" if response is None else response
    judgement = Judgement(task, faithfulness, instruction)
    return Candidate(dataset, example, strategy, sample, text, finished, judgement)


def random_candidates(seed: int, ties: bool = False) -> list[Candidate]:
    rng = random.Random(seed)

    def score() -> float | None:
        value = rng.choice([0.0, 0.5, 1.0]) if ties else rng.random()
        return rng.choice([None, value, value])

    return [
        candidate(
            f"{dataset}{prompt}", score(), strategy, sample, dataset,
            rng.choice(["", f"text {rng.random()}", "some text"]), rng.random() < 0.8,
            score(), score(),
        )
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
        ((0.2, None, None), {"task": 0}, 0.0),
        ((None, None, None), {}, 0.0),
        ((0.0, 1.0, None), {"task": 0}, 1.0),
    ],
)
def test_reward(scores: tuple[Any, ...], weights: dict[str, float], expected: float) -> None:
    assert reward(Judgement(*scores), Weights(**weights)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ["cold 0"]),
        (3, ["cold 0", "warm 0", "top-k 0"]),
        (4, ["cold 0", "warm 0", "top-k 0", "cold 1"]),
        (None, ["cold 0", "warm 0", "top-k 0", "cold 1", "warm 1", "top-k 1"]),
    ],
)
def test_strategies_take_turns(count: int | None, expected: list[str]) -> None:
    candidates = [candidate(p, 1, s, n) for s in STRATEGIES for p in "pq" for n in range(2)]
    pool = candidate_pool(candidates, Selection(candidates=count))
    for prompt in "pq":
        own = [c for c in pool if c.example == prompt]
        assert [f"{c.strategy} {c.sample}" for c in own] == expected
    assert len(pool) == 2 * len(expected)


@pytest.mark.parametrize("flaw", [{"response": ""}, {"finished": False}])
def test_incomplete_responses_are_dropped_but_take_their_turn(flaw: dict[str, Any]) -> None:
    candidates = [
        candidate("p", 1, **flaw), candidate("p", 0, sample=1), candidate("q", 1, **flaw)
    ]  # fmt: skip
    assert complete_candidates(candidates, Selection()) == [candidates[1]]
    assert candidate_pool(candidates, Selection()) == candidates
    assert complete_candidates(candidates, Selection(candidates=1)) == []


def test_the_best_of_each_prompt_is_selected() -> None:
    candidates = [
        candidate("p", 0.2), candidate("p", 0.9, "warm"), candidate("q", 0.1),
        candidate("q", None, "warm"),
    ]  # fmt: skip
    selected = select(candidates, Selection(), 0)
    assert [(c.example, c.strategy, value) for c, value in selected] == [
        ("p", "warm", 0.9),
        ("q", "cold", 0.1),
    ]


@pytest.mark.parametrize(
    ("fraction", "prompts", "expected"),
    [(1.0, 10, 10), (0.5, 10, 5), (0.5, 5, 3), (0.01, 10, 1), (0.3, 10, 3), (0.1125, 200, 23),
     (0.0375, 200, 8), (0.3, 200, 60), (0.07, 100, 7), (0.14, 50, 7)],
)  # fmt: skip
def test_the_share_is_rounded_up_exactly(fraction: float, prompts: int, expected: int) -> None:
    candidates = [candidate(f"p{n}", n / prompts) for n in range(prompts)]
    selected = select(candidates, Selection(keep_fraction=fraction), 0)
    assert [c.example for c, _ in selected] == [f"p{prompts - 1 - n}" for n in range(expected)]


def test_each_data_set_keeps_its_own_share() -> None:
    # Every prompt of "b" is better than every prompt of "a".
    candidates = [
        candidate(f"{d}{n}", n / 10 + (d == "b"), dataset=d) for d in "ba" for n in range(4)
    ]
    selected = select(candidates, Selection(keep_fraction=0.5), 0)
    assert [c.example for c, _ in selected] == ["a3", "a2", "b3", "b2"]


@pytest.mark.parametrize("rule", ["best", "random", "reference", "repaired", "clean"])
def test_a_selection_is_seeded_and_nothing_gives_nothing(rule: Any) -> None:
    selection = Selection(keep_fraction=0.5, rule=rule)
    candidates = random_candidates(0, ties=True)
    assert select(candidates, selection, 3) == select(candidates, selection, 3)
    assert select(candidates, selection, 3) != select(candidates, selection, 4)
    assert select([], selection, 0) == training_examples_from([], [], [], selection, 0) == []


def test_ties_are_broken_evenly() -> None:
    # 5 prompts of 4 equal candidates, 2 prompts kept: over 400 seeds each prompt is kept 160
    # times (sd 10), and each sample number 200 times (sd 12).
    candidates = [candidate(f"p{n}", 0.5, sample=s) for n in range(5) for s in range(4)]
    selection = Selection(keep_fraction=0.4)
    selected = [c for seed in range(400) for c, _ in select(candidates, selection, seed)]
    prompts, samples = (Counter(getattr(c, key) for c in selected) for key in ("example", "sample"))
    assert len(prompts) == 5 and all(110 < n < 210 for n in prompts.values())
    assert len(samples) == 4 and all(140 < n < 260 for n in samples.values())


def test_random_selection_ignores_the_scores() -> None:
    candidates = [candidate("p", score, sample=n) for n, score in enumerate((1.0, 0.5, 0.0))]
    selection = Selection(rule="random")
    samples = Counter(select(candidates, selection, s)[0][0].sample for s in range(300))
    assert all(60 < samples[n] < 140 for n in range(3))


@pytest.mark.parametrize(
    ("faithfulness", "instruction", "expected"),
    [(0.76, 1.0, True), (0.75, 1.0, False), (0.76, 0.99, False), (None, 1.0, True),
     (1.0, None, True), (None, None, True), (None, 0.5, False)],
)  # fmt: skip
def test_the_judges_accept_what_is_faithful_and_follows_all_instructions(
    faithfulness: float | None, instruction: float | None, expected: bool
) -> None:
    assert accepted(Judgement(0.0, faithfulness, instruction)) == expected


@pytest.mark.parametrize("only_accepted", [False, True])
@pytest.mark.parametrize("rule", ["best", "random", "reference", "repaired", "clean"])
def test_a_rule_says_which_responses_the_same_prompts_get(rule: Any, only_accepted: bool) -> None:
    prompts = [
        Example("a", "instruction", "kept", "sound reference", id="kept"),
        Example("a", "instruction", "bad", "flawed", clean_response="clean", id="bad"),
        Example("a", "instruction", "never sampled", "reference", id="z"),
    ]
    references = [
        candidate(e.id, None, "reference", response=e.response, instruction=float(e.id == "kept"))
        for e in prompts
    ]
    candidates = [
        candidate(name, 0.2 + sample / 2, sample=sample) for name in ("kept", "bad")
        for sample in range(2)
    ]  # fmt: skip
    expected = {
        "best": {"kept": {"kept cold 1"}, "bad": {"bad cold 1"}},
        "random": {n: {f"{n} cold {s}" for s in range(2)} for n in ("kept", "bad")},
        "reference": {"kept": {"sound reference"}, "bad": {"flawed"}},
        "repaired": {"kept": {"sound reference"}, "bad": {"bad cold 1"}},
        "clean": {"kept": {"sound reference"}, "bad": {"clean"}},
    }[rule]
    if only_accepted:
        del expected["bad"]
    drawn: dict[str, set[str]] = defaultdict(set)
    for seed in range(20):
        selection = Selection(rule=rule, accepted=only_accepted)
        for e in training_examples_from(prompts, references, candidates, selection, seed):
            drawn[e.id].add(e.response)
            assert e.prompt in ("kept", "bad")
    assert drawn == expected


def test_the_references_are_of_the_prompts_of_the_best() -> None:
    prompts = [Example("a", "instruction", f"p{n}", f"ref {n}", id=f"p{n}") for n in range(20)]
    references = [candidate(e.id, None) for e in prompts]
    candidates = [candidate(f"p{n}", n / 20) for n in range(20)]
    for seed in range(5):
        best, other = (
            training_examples_from(
                prompts, references, candidates, Selection(keep_fraction=0.3, rule=rule), seed
            )
            for rule in ("best", "reference")
        )
        assert [e.id for e in other] == [e.id for e in best] and len(other) == 6
        assert all(e in prompts for e in other) and not any(e in prompts for e in best)


def test_preferences_are_the_best_and_the_worst_candidates_where_they_differ() -> None:
    prompts = [Example("a", "instruction", f"do {n}", "ref", id=n) for n in "pqr"]
    candidates = [
        candidate("p", 0.2), candidate("p", 0.9, "warm"), candidate("p", 0.5, "top-k"),
        candidate("p", 0.0, sample=1, finished=False), candidate("p", 0.1, "warm", sample=1),
        candidate("q", 0.3), candidate("q", 0.3, "warm"), candidate("r", 1.0),
    ]  # fmt: skip
    for selection, worst in (Selection(candidates=4), "p cold 0"), (Selection(), "p warm 1"):
        examples, rejected = preferences_from(prompts, candidates, selection, 0)
        assert [(e.prompt, e.response) for e in examples] == [("do p", "p warm 0")]
        assert rejected == [worst]


def test_noise_turns_the_judge_of_faithfulness_round_for_a_share_of_the_candidates() -> None:
    candidates = [
        candidate(f"p{n}", None, sample=s, faithfulness=float(s == 0))
        for n in range(400) for s in range(2)
    ]  # fmt: skip
    chosen = {
        noise: [c.sample for c, _ in select(candidates, Selection(noise=noise), 0)]
        for noise in (0.0, 0.2, 1.0)
    }
    assert not any(chosen[0.0]) and all(chosen[1.0])
    # Wrong if both are turned (0.04), and in half of the ties (0.32): 0.2 of 400, sd 8.
    assert 50 < sum(chosen[0.2]) < 110
    without = [candidate(f"p{n}", n / 9, instruction=0.5) for n in range(9)]
    values = [[v for _, v in select(without, Selection(noise=noise), 0)] for noise in (0.0, 1.0)]
    assert values[0] == values[1]


def plain_pool(candidates: list[Candidate], selection: Selection) -> list[Candidate]:
    pool: list[Candidate] = []
    for prompt in dict.fromkeys(c.example for c in candidates):
        own = [c for c in candidates if c.example == prompt]
        queue = [
            c
            for sample in range(3)
            for strategy in STRATEGIES
            for c in own
            if (c.sample, c.strategy) == (sample, strategy)
        ]
        pool += queue[: selection.candidates or len(queue)]
    return [c for c in pool if c.response != "" and c.finished]


def plain_reward(judgement: Judgement, weights: Weights) -> float:
    total = weight_sum = 0.0
    for name in ("task", "faithfulness", "instruction"):
        if getattr(judgement, name) is not None:
            total += getattr(weights, name) * getattr(judgement, name)
            weight_sum += getattr(weights, name)
    return total / weight_sum if weight_sum > 0 else 0.0


@pytest.mark.parametrize("count", [None, 1, 5])
@pytest.mark.parametrize("keep_fraction", [0.15, 0.5, 1.0])
def test_a_plain_loop_agrees(count: int | None, keep_fraction: float) -> None:
    weights = Weights(task=0.7)
    selection = Selection(candidates=count, keep_fraction=keep_fraction, weights=weights)
    for seed in range(5):
        candidates = random_candidates(seed)
        pool = complete_candidates(candidates, selection)
        assert sorted(map(str, pool)) == sorted(map(str, plain_pool(candidates, selection)))
        expected = []
        for dataset in sorted({c.dataset for c in pool}):
            best: dict[str, float] = {}
            for c in (c for c in pool if c.dataset == dataset):
                value = plain_reward(judgement_of(c), weights)
                best[c.example] = max(value, best.get(c.example, -math.inf))
            kept = 0
            while kept < keep_fraction * len(best) - 1e-9:
                kept += 1
            expected += sorted(best.values(), reverse=True)[:kept]
        selected = select(pool, selection, seed)
        assert [value for _, value in selected] == pytest.approx(expected)
        rewards = [plain_reward(judgement_of(c), weights) for c, _ in selected]
        assert [value for _, value in selected] == pytest.approx(rewards, rel=1e-12)
        assert len({c.example for c, _ in selected}) == len(selected)


def test_sampled_prompts_are_a_seeded_share_of_each_data_set() -> None:
    sizes = {"b": 10, "a": 3}
    examples = [
        Example(d, "instruction", f"{d} {n}", "r") for d, k in sizes.items() for n in range(k)
    ]
    prompts = sample_prompts(examples, 5, 0)
    assert Counter(e.dataset for e in prompts) == {"a": 3, "b": 5}
    assert all(e in examples for e in prompts) and len({e.id for e in prompts}) == 8
    assert prompts == sample_prompts(examples, 5, 0) != sample_prompts(examples, 5, 1)
