"""Numbers as readers see them, the same in tables, figures, README and report."""

import re
from collections.abc import Iterable, Mapping, Sequence


def short(value: float, sign: bool = False) -> str:
    """Return a score with three decimals, zero without a sign.

    It is first rounded as tables have it, so that ties look the same wherever they are shown.
    """
    value = round(value, 6)
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
    numbers = sorted({int(count) for count in counts if count == count})
    if not numbers:
        return "0"
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: "1 seed", "3 seeds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def numbered(seeds: Sequence[int]) -> str:
    """Return seeds by number: "seed 0", "seeds 0, 1, 2"."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def over(seeds: int) -> str:
    """Return what an interval is computed over, given the number of seeds."""
    if seeds > 1:
        return "over seeds and prompts"
    return "over prompts alone (with one seed nothing is known of how seeds vary)"


def visible(text: str) -> str:
    """Return a text of a model or data set that cannot change how a page or terminal shows others.

    Control characters, which include those that turn the direction of writing, become U+FFFD.
    """
    text = re.sub("\r\n?", "\n", text)
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]", "\ufffd", text)


def quoted_markdown(text: str) -> str:
    """Return a text as a Markdown quotation in which it has no markup, line by line."""
    escaped = re.sub(r"([\\`*_{}\[\]<>&#|~$])", r"\\\1", visible(text).expandtabs(4))
    # At the start of a line these begin a list, a rule or a heading.
    escaped = re.sub(r"(?m)^( *)([-+=])", r"\1\\\2", escaped)
    escaped = re.sub(r"(?m)^( *\d+)([.)])", r"\1\\\2", escaped)
    indented = re.sub(r"(?m)^ +", lambda match: "&nbsp;" * len(match[0]), escaped)
    # Two spaces at the end keep the line break.
    return "\n".join(f"> {line.rstrip()}  " for line in indented.split("\n"))
