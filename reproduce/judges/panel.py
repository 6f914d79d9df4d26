"""Judgements of a run's responses by the judges that its profile names."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import JudgeServer, Judging
from reproduce.judges.judge import Entailment, Judgement, Rater, judge
from reproduce.schema import Example

Row = dict[str, Any]
Judges = Callable[[Sequence[Example], Sequence[str]], list[Judgement]]

CACHE = Path(".cache/entailment")
"""Where a cross-encoder's probabilities are kept, below the working directory."""
RATINGS = Path(".cache/ratings")
"""Where the answers of a served judge are kept."""


class TooMuchLost(Exception):
    """A run with more empty or unrated responses than its configuration allows."""


def judges_of(settings: Judging, server: JudgeServer | None, entailment: Path) -> Judges:
    """Return the judges of a profile; `entailment` is the folder of its entailment model."""
    rater = rater_of(settings, server)  # First: it refuses a missing key.
    model = entailment_model(settings, entailment / "model")
    return partial(judge, entailment=model, carriers=settings.carriers, rater=rater)


def rater_of(settings: Judging, server: JudgeServer | None) -> Rater | None:
    """Return the served judge of instruction following, None if the profile names none.

    Raises ConfigError or EndpointError where its prompt or its key is missing; it asks nothing yet.
    """
    if settings.rated is None or server is None:
        return None
    from reproduce.judges.llm_judge import rater

    return rater(settings.rated, server, RATINGS)


def entailment_model(settings: Judging, folder: Path) -> Entailment:
    """Return the entailment model that a profile names; a cross-encoder's is in `folder`."""
    if settings.entailment == "symbolic":
        from reproduce.world.entailment import symbolic_entailment

        return symbolic_entailment
    if settings.entailment == "lexical":
        from reproduce.judges.lexical import lexical_entailment

        return lexical_entailment
    from reproduce.judges.nli import CrossEncoder

    return CrossEncoder(folder, CACHE)


def judged(rows: Iterable[Row], examples: dict[str, Example], judges: Judges) -> list[Row]:
    """Return `rows` with their judgements; equal responses to one example are judged once."""
    rows = list(rows)
    pairs = sorted({(row["example"], row["response"]) for row in rows})
    judgements = judges([examples[name] for name, _ in pairs], [text for _, text in pairs])
    found = dict(zip(pairs, judgements, strict=True))
    return [{**row, **vars(found[row["example"], row["response"]])} for row in rows]


def refuse_lost(rows: Sequence[Row], settings: Judging, title: str) -> None:
    """Raise TooMuchLost when more than the allowed share of the responses is empty or unrated."""
    empty = sum(not row["response"] for row in rows)
    if empty > settings.max_empty_share * len(rows):
        raise TooMuchLost(
            f"{title}: {empty} of {len(rows)} responses are empty; allowed is a share of "
            f"{settings.max_empty_share} (judging.max_empty_share)"
        )
    refuse_unrated(rows, settings, title)


def refuse_unrated(rows: Sequence[Row], settings: Judging, title: str) -> None:
    """Raise TooMuchLost when more than the allowed share of the ratings could not be read."""
    if settings.rated is None:
        return
    asked = [row["details"]["unrated"] for row in rows if row["response"].strip()
             and "unrated" in row["details"]]  # fmt: skip
    if sum(asked) > settings.rated.max_unrated_share * len(asked):
        raise TooMuchLost(
            f"{title}: {sum(asked):.0f} of {len(asked)} ratings cannot be read; allowed is a share "
            f"of {settings.rated.max_unrated_share} (judging.rated.max_unrated_share); the answers "
            f"are in {RATINGS}"
        )
