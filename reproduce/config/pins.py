"""Which things of a hub a profile takes, and that each is taken at one commit."""

from pathlib import Path

from reproduce.config.load import ConfigError
from reproduce.config.params import Params


def is_address(name: str) -> bool:
    """Return whether a name is the address of a repository of files, not one of the hub."""
    return "://" in name


def address(name: str, revision: str | None, path: str) -> str:
    """Return where a file of a repository of files is, at a revision; of "" the folder."""
    return "/".join(part for part in (name, revision, path) if part)


def listed(paths: str | list[str]) -> list[str]:
    """Return the patterns of a split's files, of which a profile may give one or several."""
    return [paths] if isinstance(paths, str) else paths


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


def way_to_pin(place: str, name: str) -> str:
    """Return how the revision is found of what the parameter `place` takes from a hub."""
    if is_address(name):
        return "look the newest commit up at its address (40 digits)"
    kind = "--dataset " if place.startswith("data.") else ""
    return f"`reproduce pin {kind}{name}` asks the hub for its newest (40 digits)"


def refuse_unpinned(params: Params) -> None:
    """Raise ConfigError naming what has no revision, and the command that finds it."""
    for place, (name, revision) in pins(params).items():
        if revision is None:
            raise ConfigError(
                f"{place}: '{name}' is no local folder and has no 'revision'; "
                f"{way_to_pin(place, name)}"
            )
