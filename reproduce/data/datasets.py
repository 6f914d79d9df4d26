"""Public real text as Examples: fetched, checked, split by group, sampled with a seed."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reproduce import download as fetch
from reproduce.data import parsers as parse
from reproduce.data.constraints import constrain_gold, constrain_open
from reproduce.data.overlap import EVALUATION_SHARE, marks, overlap, seen_runs
from reproduce.data.rows import fits
from reproduce.schema import Example, Side
from reproduce.utils.files import text_id

__all__ = ["DATASETS", "check_limits", "pools", "real_examples"]

Part = Literal["train", "evaluation"]
Limits = Mapping[str, int]
Sets = dict[str, list[Example]]

LIMITS = ("train", "evaluation", "context_words", "response_words")


@dataclass(frozen=True)
class Source:
    """Names of the manifest's files that a data set is made of, by what they may serve for.

    `side` is the objective that its examples belong to.
    """

    split: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    side: Side = "CD"


DATASETS: Mapping[str, Source] = {
    "squad": Source(split=("squad-dev",)),
    "adversarial-qa": Source(
        split=("adversarial-qa-dbert", "adversarial-qa-dbidaf", "adversarial-qa-droberta")
    ),
    "quoref": Source(split=("quoref",)),
    "dialogsum": Source(train=("dialogsum-dev",), evaluation=("dialogsum-test",)),
    "xsum": Source(split=("xsum",)),
    "samsum": Source(split=("samsum",)),
    "cnn-dailymail": Source(split=("cnn-dailymail",)),
    "alpaca": Source(split=("alpaca-demo",), side="IF"),
    "self-instruct": Source(split=("self-instruct-seeds",), side="IF"),
    "user-oriented": Source(evaluation=("user-oriented",), side="IF"),
    "vicuna": Source(evaluation=("vicuna-bench",), side="IF"),
    "mt-bench": Source(evaluation=("mt-bench",), side="IF"),
}
"""The data sets that `real_examples` knows."""


@dataclass
class Pool:
    """What a data set offers before sampling, with its row of the report."""

    train: list[Example]
    evaluation: list[Example]
    counts: dict[str, Any]


def pools(limits: Mapping[str, Limits], mirror: Path | None, cache: Path) -> dict[str, Pool]:
    """Return what each data set offers for training and for evaluation, by name in sorted order.

    Args:
        limits: for each data set at most how many examples for "train" and "evaluation"
            (0 when left out), and how long, in words between white space, "context_words" and
            "response_words" may be (no bound when left out).
        mirror: a folder of the files; see `fetch`.
        cache: where downloads go.

    No group, context or prompt (before its constraints) is on both sides, across all of `limits`.
    Counts: "parsed", "refused" and "cut_off" (see `parse.Parsed`), "too_long", "shared" (left
    out of train because evaluation has it) and "repeated".
    Raises ValueError for an unknown name or key, or train examples of an evaluation-only set;
    UnusableFile as `fetch` and `parse` do.
    """
    check_limits(limits)
    # In sorted order, so that the order of `limits` changes nothing.
    found = {name: _pool(name, limits[name], mirror, cache) for name in sorted(limits)}
    _separate(found.values())
    return found


def real_examples(
    offered: Mapping[str, Pool], limits: Mapping[str, Limits], seed: int
) -> tuple[Sets, Sets, list[dict[str, Any]]]:
    """Return (train sets, evaluation sets, one row of counts each), sampled from the pools.

    `seed` is of the sampling and of the constraints; the split does not depend on it. To the
    pools' counts come "train" and "evaluation", what is returned, and "overlap", the share of
    the evaluation prompts with a run of OVERLAP_WORDS words that is in a training prompt.
    """
    train: Sets = {}
    evaluation: Sets = {}
    for name, pool in offered.items():
        train[name] = _sample(name, "train", pool.train, limits[name], seed)
        evaluation[name] = _sample(name, "evaluation", pool.evaluation, limits[name], seed)
    seen = seen_runs(train.values())
    counts = [
        {
            **pool.counts,
            "train": len(train[name]),
            "evaluation": len(evaluation[name]),
            "overlap": overlap(evaluation[name], seen),
        }
        for name, pool in offered.items()
    ]
    return train, evaluation, counts


def check_limits(limits: Mapping[str, Limits]) -> None:
    """Raise ValueError naming a data set, or a bound of one, that does not exist."""
    for name, limit in limits.items():
        if name not in DATASETS:
            raise ValueError(f"unknown data set {name!r}; allowed: {', '.join(DATASETS)}")
        if unknown := set(limit) - set(LIMITS):
            raise ValueError(f"{name}: unknown {sorted(unknown)}; allowed: {', '.join(LIMITS)}")
        source = DATASETS[name]
        if limit.get("train", 0) and not (source.train or source.split):
            raise ValueError(f'{name}: for evaluation only; set its "train" to 0')


def _pool(name: str, limit: Limits, mirror: Path | None, cache: Path) -> Pool:
    source = DATASETS[name]
    counts: dict[str, Any] = {"dataset": name, "parsed": 0, "refused": 0, "cut_off": 0}

    def read(files: Iterable[str]) -> list[Example]:
        found: list[Example] = []
        for file in files:
            parsed = parse.parse(fetch.fetch(file, mirror, cache), name)
            found += parsed.examples
            counts["parsed"] += len(parsed.examples)
            counts["refused"] += parsed.refused
            counts["cut_off"] += parsed.cut_off
        return found

    train, evaluation = _split(read(source.split))
    train += read(source.train)
    evaluation += read(source.evaluation)
    pool = Pool(_short(train, limit), _short(evaluation, limit), counts)
    counts["too_long"] = len(train) + len(evaluation) - len(pool.train) - len(pool.evaluation)
    return pool


def _split(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Return (train, evaluation), split by the hash of the group: the same for every seed."""
    groups = sorted({example.group for example in examples}, key=lambda each: text_id(each))
    held_out = set(groups[: round(EVALUATION_SHARE * len(groups))])
    train = [example for example in examples if example.group not in held_out]
    return train, [example for example in examples if example.group in held_out]


def _short(examples: Iterable[Example], limit: Limits) -> list[Example]:
    context, response = (limit.get(key) for key in ("context_words", "response_words"))
    return [example for example in examples if fits(example, context, response)]


def _separate(pools: Iterable[Pool]) -> None:
    pools = list(pools)
    taken = {mark for pool in pools for each in pool.evaluation for mark in marks(each)}
    for pool in pools:
        apart = [example for example in pool.train if not marks(example) & taken]
        pool.counts["shared"] = len(pool.train) - len(apart)
        train, evaluation = _distinct(apart), _distinct(pool.evaluation)
        pool.counts["repeated"] = len(apart) + len(pool.evaluation) - len(train) - len(evaluation)
        pool.train, pool.evaluation = train, evaluation


def _distinct(examples: Iterable[Example]) -> list[Example]:
    return list({example.prompt: example for example in reversed(list(examples))}.values())[::-1]


def _sample(
    name: str, part: Part, offered: list[Example], limit: Limits, seed: int
) -> list[Example]:
    rng = random.Random(f"{seed}/{name}/{part}")
    chosen = rng.sample(offered, min(limit.get(part, 0), len(offered)))
    if not chosen or chosen[0].side == "CD":
        return chosen
    source = DATASETS[name]
    constrain = constrain_gold if source.train or source.split else constrain_open
    return [constrain(example, rng) for example in chosen]
