"""How far a piece of work is, and how long it still takes."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def told(items: Iterable[T], title: str, every: float = 10.0) -> Iterator[T]:
    """Yield the items, and say every so many seconds how far they are.

    Of a sequence it also says how long it still takes; how long a stream is nobody knows.
    """
    total = len(items) if isinstance(items, Sequence) else None
    began = said = time.monotonic()
    for number, item in enumerate(items):
        now = time.monotonic()
        if now - said >= every:
            said = now
            print(f"  {title}: {_so_far(number, total, now - began)}", flush=True)
        yield item


def _so_far(number: int, total: int | None, took: float) -> str:
    if total is None:
        return f"{number:,}"
    return f"{number}/{total}, about {spoken(took / number * (total - number))} left"


def spoken(seconds: float) -> str:
    """Return a duration in seconds as text, to about two digits: "40 s", "9 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
