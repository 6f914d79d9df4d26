"""What ReSet and ReSet-S keep of the candidates, and what rewards these have."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.config import Selection
from reproduce.evaluation.results import RESET, RESET_S, Results, read_candidates
from reproduce.evaluation.tables.render import Table
from reproduce.reset.select import considered, reward, select, taken
from reproduce.schema import Side
from reproduce.utils.formatting import numbered

Row = dict[str, Any]

BIN = 0.1
LOWEST = -1.0
"""Rewards are between -1 (faithfulness may be negative) and 1."""


@dataclass(frozen=True)
class Choice:
    """One selection of one seed: prompts, candidates, those that are whole, and the kept."""

    prompts: Mapping[str, int]
    sides: Mapping[str, Side]
    drawn: Sequence[Row]
    seen: Sequence[Row]
    kept: Sequence[Row]


def choices(results: Results, artifacts: Path) -> dict[str, list[Choice]]:
    """Return label -> a choice a seed, for ReSet and ReSet-S; every row has its "reward"."""
    found: dict[str, list[Choice]] = {results.labels[key]: [] for key in (RESET, RESET_S)}
    for seed in results.seeds:
        prompts, rows = read_candidates(artifacts, seed)
        counts = Counter(example.dataset for example in prompts)
        sides = {example.dataset: example.side for example in prompts}
        for key in (RESET, RESET_S):
            selection = results.arms[key].select
            if selection is not None:
                drawn = taken(rows, selection)
                seen, kept = _chosen(rows, selection, seed)
                found[results.labels[key]].append(Choice(counts, sides, drawn, seen, kept))
    return found


def rewards(results: Results, found: Mapping[str, Sequence[Choice]]) -> Table:
    """Return, for each method and data set, how many candidates were kept and their rewards."""
    rows = [
        _row(label, name, chosen)
        for label, chosen in found.items()
        for name in [*sorted({n for choice in chosen for n in choice.prompts}), "all"]
    ]
    headers = {
        "label": "Method", "dataset": "Data set", "prompts": "Prompts",
        "drawn": "Candidates", "considered": "Whole", "kept": "Kept", "acceptance": "Acceptance",
        "yield": "Share of kept", "reward_all": "Reward, whole", "reward_kept": "Reward, kept",
    }  # fmt: skip
    caption = (
        "Candidates that were drawn, those of them that are whole (neither empty nor cut off by "
        "the limit on new tokens), of which the method chooses, and those kept; mean rewards of "
        f"the whole and of the kept. Counts are means over {numbered(results.seeds)}. Acceptance "
        "is kept / whole."
    )
    return Table("rewards", caption, headers, rows)


def reward_distribution(found: Mapping[str, Sequence[Choice]]) -> list[Row]:
    """Return histograms of the rewards, all considered and kept, a row a bin; seeds together."""
    return [
        row
        for label, chosen in found.items()
        for side in sorted({side for choice in chosen for side in choice.sides.values()})
        for group in ("considered", "kept")
        for row in _histogram(label, side, group, chosen)
    ]


def _chosen(rows: Sequence[Row], selection: Selection, seed: int) -> tuple[list[Row], list[Row]]:
    looked_at = considered(rows, selection)
    seen = [{**row, "reward": reward(row, selection.weights)} for row in looked_at]
    return seen, select(looked_at, selection, seed)


def _row(label: str, dataset: str, chosen: Sequence[Choice]) -> Row:
    def of(rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if dataset in ("all", row["dataset"])]

    prompts = _mean(
        [sum(n for name, n in c.prompts.items() if dataset in ("all", name)) for c in chosen]
    )
    seen, kept = [of(c.seen) for c in chosen], [of(c.kept) for c in chosen]
    count_seen, count_kept = sum(map(len, seen)), sum(map(len, kept))
    return {
        "label": label,
        "dataset": dataset,
        "prompts": prompts,
        "drawn": _mean([len(of(c.drawn)) for c in chosen]),
        "considered": _mean([len(rows) for rows in seen]),
        "kept": _mean([len(rows) for rows in kept]),
        "acceptance": _ratio(count_kept, count_seen),
        "yield": _ratio(count_kept, sum(len(choice.kept) for choice in chosen)),
        "reward_all": _ratio(_total(seen), count_seen),
        "reward_kept": _ratio(_total(kept), count_kept),
    }


def _histogram(label: str, side: Side, group: str, chosen: Sequence[Choice]) -> list[Row]:
    values = [
        row["reward"]
        for choice in chosen
        for row in (choice.seen if group == "considered" else choice.kept)
        if choice.sides[row["dataset"]] == side
    ]
    last = round((1 - LOWEST) / BIN) - 1
    # The small number keeps 0.3, stored as a little less, in the bin that starts at 0.3.
    counts = Counter(min(last, int((value - LOWEST) / BIN + 1e-9)) for value in values)
    return [
        {
            "label": label,
            "side": side,
            "group": group,
            "low": round(LOWEST + number * BIN, 6),
            "high": round(LOWEST + (number + 1) * BIN, 6),
            "count": counts[number],
            "share": counts[number] / max(1, len(values)),
        }
        for number in range(last + 1)
    ]


def _mean(counts: Sequence[int]) -> int | float:
    mean = sum(counts) / len(counts)
    return int(mean) if mean.is_integer() else mean


def _total(chosen: Sequence[Sequence[Row]]) -> float:
    return sum(row["reward"] for rows in chosen for row in rows)


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
