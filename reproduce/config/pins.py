"""Which things of a hub a profile takes, and that each is taken at one commit."""

from pathlib import Path

from reproduce.config.load import ConfigError
from reproduce.config.profile import Params

HUB = "https://"


def pins(params: Params) -> dict[str, tuple[str, str | None]]:
    """Return parameter -> (name on the hub, revision) of all that a profile takes from a hub."""
    found: dict[str, tuple[str, str | None]] = {}
    if params.base.published:
        found["base.published"] = (params.base.published.model, params.base.published.revision)
    if params.judging.published:
        judge = params.judging.published
        found["judging.published"] = (judge.model, judge.revision)
    for name, each in (params.data.hub.sets if params.data.hub else {}).items():
        found[f"data.hub.sets.{name}"] = (each.repo, each.revision)
    return {place: pin for place, pin in found.items() if not Path(pin[0]).is_dir()}


def refuse_unpinned(params: Params) -> None:
    """Raise ConfigError naming what has no revision, and the command that finds it."""
    for place, (name, revision) in pins(params).items():
        if revision is None:
            kind = "--dataset " if place.startswith("data.") else ""
            raise ConfigError(
                f"{place}: '{name}' is no local folder and has no 'revision'; "
                f"`reproduce pin {kind}{name}` asks the hub for its newest (40 digits)"
            )
