"""Numbers as readers see them, the same in tables, figures, README and report."""

import re
from collections.abc import Iterable, Mapping, Sequence


def short(value: float, sign: bool = False) -> str:
    """Return a score with three decimals, zero without a sign."""
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return re.sub(r"^[+-](?=0\.000$)", "", text)


def interval(row: Mapping[str, str], name: str, sign: bool = True) -> str:
    """Return a mean of a table with its interval, "–" where the row has none."""
    if not row[name]:
        return "–"
    mean, low, high = (
        short(float(row[key]), sign) for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{mean} [{low}, {high}]".replace("-", "−")


def percent(share: float) -> str:
    """Return a share as text: "95 %", "97.5 %"."""
    return f"{100 * share:g} %"


def span(counts: Iterable[float]) -> str:
    """Return the smallest and the largest of some counts: "240 to 480", or "240"."""
    found = sorted({int(count) for count in counts if count == count})
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0] if found else 0)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: "1 seed", "3 seeds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def numbered(seeds: Sequence[int]) -> str:
    """Return which seeds: "seed 0", "seeds 0, 1, 2"."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def over(seeds: int) -> str:
    """Return what an interval is taken over."""
    if seeds > 1:
        return "over seeds and prompts"
    return "over prompts alone (with one seed nothing is known of how seeds vary)"
