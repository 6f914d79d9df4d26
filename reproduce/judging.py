"""Judgements of a run's responses by the judges that its profile names."""

from collections.abc import Iterable, Sequence
from typing import Any

from reproduce.config import Judging
from reproduce.examples import Example
from reproduce.judges import Entailment, judge

Row = dict[str, Any]


class TooMuchLost(Exception):
    """A run with more empty responses than its configuration allows."""


def entailment_model(settings: Judging) -> Entailment:
    """Return the entailment model that a profile names."""
    if settings.entailment == "symbolic":
        from reproduce.world.entailment import symbolic_entailment

        return symbolic_entailment
    from reproduce.judges.lexical import lexical_entailment

    return lexical_entailment


def judged(rows: Iterable[Row], examples: dict[str, Example], entailment: Entailment) -> list[Row]:
    """Return `rows` with their judgements; equal responses to one example are judged once."""
    rows = list(rows)
    pairs = sorted({(row["example"], row["response"]) for row in rows})
    judgements = judge(
        [examples[name] for name, _ in pairs], [response for _, response in pairs], entailment
    )
    found = dict(zip(pairs, judgements, strict=True))
    return [{**row, **vars(found[row["example"], row["response"]])} for row in rows]


def refuse_lost(rows: Sequence[Row], settings: Judging, title: str) -> None:
    """Raise TooMuchLost when more than the allowed share of the responses is empty."""
    empty = sum(not row["response"] for row in rows)
    if empty > settings.max_empty_share * len(rows):
        raise TooMuchLost(
            f"{title}: {empty} of {len(rows)} responses are empty; allowed is a share of "
            f"{settings.max_empty_share} (judging.max_empty_share)"
        )
