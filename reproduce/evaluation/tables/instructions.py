"""Which kinds of verifiable instructions the responses follow."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from reproduce.bootstrap import Grid
from reproduce.evaluation.results import BASE, INSTRUCTION, MTL, RESET, RESET_S, Results
from reproduce.evaluation.tables.render import Table
from reproduce.judges.instructions import follow
from reproduce.utils.formatting import over, percent

SHOWN = (BASE, "two-stage/IF", "two-stage/CD", MTL, RESET, RESET_S)


def instructions(results: Results) -> Table:
    """Return, for each kind of instruction, the share that some arms follow; the commonest first.

    A kind is the name of the checker, with its relation where it has one: a bound from above is
    kept by saying little, one from below is not.
    """
    followed = {key: _followed(results, key) for key in SHOWN}
    asked = Counter({kind: grid.shape[1] for kind, grid in followed[BASE].items()})
    rows = [
        {"kind": kind, "asked": number} | {key: results.mean(followed[key][kind]) for key in SHOWN}
        for kind, number in sorted(asked.items(), key=lambda each: (-each[1], each[0]))
    ]
    headers = {"kind": "Instruction", "asked": "Asked"} | {
        key: results.labels[key] for key in SHOWN
    }
    caption = (
        "Share of the verifiable instructions of a kind that responses follow as they stand. "
        "Asked: how many the evaluation prompts hold, of which some hold two. In brackets the "
        f"{percent(results.statistics.confidence)} percentile interval of "
        f"{results.statistics.resamples} bootstrap resamples {over(len(results.seeds))}."
    )
    return Table("instructions", caption, headers, rows)


def _followed(results: Results, key: str) -> dict[str, Grid]:
    """Return kind -> whether an arm follows each instruction of it, as (seeds, instructions)."""
    found: dict[str, list[list[bool]]] = {}
    for name in results.datasets(INSTRUCTION):
        texts = results.frame(key, name)["response"].to_numpy().reshape(len(results.seeds), -1)
        for example, responses in zip(results.sets[name], texts.T, strict=True):
            kept = np.array([follow(text, example.instructions) for text in responses]).T
            for instruction, by_seed in zip(example.instructions, kept, strict=True):
                found.setdefault(_kind(instruction), []).append(by_seed.tolist())
    return {kind: np.array(columns, dtype=float).T for kind, columns in found.items()}


def _kind(instruction: Mapping[str, Any]) -> str:
    return f"{instruction['id']} {instruction.get('relation') or ''}".strip().replace("_", " ")
