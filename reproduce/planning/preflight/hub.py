"""Whether all that a profile takes from a hub is pinned and can be had."""

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from reproduce.config import Params, pins
from reproduce.config.pins import address, is_address, listed, way_to_pin
from reproduce.planning.preflight.lines import Check, Found, failed, not_applicable, passed

TIMEOUT = 20.0
"""Seconds that a hub may take to answer."""


@dataclass(frozen=True)
class Pin:
    """Something of a hub.

    Attributes:
        parameter: what names it.
        name: on the hub, or the address of a repository of files.
        file: one of its files; "" where the profile names none.
    """

    parameter: str
    name: str
    revision: str | None
    kind: Literal["model", "dataset"]
    file: str = ""


def wanted_of(params: Params) -> list[Pin]:
    """Return all that a profile takes from a hub; local folders are no such thing."""
    sets = params.data.hub.sets if params.data.hub else {}
    files = {f"data.hub.sets.{name}": each.files or {} for name, each in sets.items()}
    return [
        Pin(place, name, revision, "dataset" if place in files else "model",
            _first(list(files.get(place, {}).values())))
        for place, (name, revision) in pins(params).items()
    ]  # fmt: skip


def _first(files: list[str | list[str]]) -> str:
    found = [name for each in files for name in listed(each)]
    return found[0] if found else ""


def hub_checks(params: Params) -> dict[str, Check]:
    """Return the checks of a profile's pins, and one for each thing of a hub."""
    wanted = wanted_of(params)
    if not wanted:
        return {"hub": lambda: not_applicable("the profile takes nothing from a hub")}
    checks: dict[str, Check] = {"pins": partial(pinned, wanted)}
    for pin in wanted:
        checks[f"hub: {pin.parameter}"] = partial(reachable, pin)
    return checks


def pinned(wanted: list[Pin]) -> Found:
    """Return whether each thing of a hub has a commit."""
    loose = [pin for pin in wanted if pin.revision is None]
    if loose:
        ways = "; ".join(f"{pin.parameter}: {way_to_pin(pin.parameter, pin.name)}" for pin in loose)
        return failed(f"no revision: {ways}")
    return passed(f"all {len(wanted)} have a revision")


def reachable(pin: Pin) -> Found:
    """Return whether a thing can be had at its commit: at an address, in the cache, on the hub."""
    if is_address(pin.name):
        return _answers(pin)
    if _offline():
        return _cached(pin)
    return _on_hub(pin)


def _on_hub(pin: Pin) -> Found:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    page = f"{api.endpoint}/{'datasets/' if pin.kind == 'dataset' else ''}{pin.name}"
    try:
        found: Any = api.repo_info(
            pin.name, repo_type=pin.kind, revision=pin.revision, timeout=TIMEOUT
        )
        if getattr(found, "gated", False):
            # What a gated repository is called and holds is public; its files are not.
            api.auth_check(pin.name, repo_type=pin.kind)
    except GatedRepoError:
        return failed(
            f"{pin.name} is gated: read and accept its licence on {page}, then log in with "
            "`hf auth login` or set HF_TOKEN"
        )
    except RevisionNotFoundError:
        return failed(f"{pin.name} has no commit {pin.revision}: see {page}/commits/main")
    except RepositoryNotFoundError:
        return failed(
            f"{page} is not there, or not for you: check the name; if it is private or gated, "
            "accept its licence on that page and set HF_TOKEN"
        )
    except HfHubHTTPError as error:
        return failed(f"{page}: {str(error).strip().splitlines()[0]}; try again later")
    except Exception as error:
        return failed(f"{page}: no answer ({type(error).__name__}); check network and HF_ENDPOINT")
    if pin.revision and found.sha and found.sha != pin.revision:
        return failed(f"{pin.name}: the hub answers with {found.sha}, not {pin.revision}")
    return passed(f"{pin.name} at {found.sha or pin.revision}")


def _cached(pin: Pin) -> Found:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            pin.name, repo_type=pin.kind, revision=pin.revision, local_files_only=True
        )
    except (OSError, ValueError) as error:
        return failed(
            f"{pin.name}: HF_HUB_OFFLINE is set and the cache has no such commit "
            f"({type(error).__name__}): unset it, or fill the cache where there is a network"
        )
    return passed(f"{pin.name} is in the cache, {folder}")


def _answers(pin: Pin) -> Found:
    # Who serves files need not answer for a folder.
    where = address(pin.name, pin.revision, pin.file)
    request = urllib.request.Request(where, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return passed(f"{where} answers with status {answer.status}")
    except (OSError, ValueError) as error:
        return failed(f"{where}: {error}; check address, revision and network")


def _offline() -> bool:
    # As huggingface_hub takes them, but when asked, not when imported.
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE")
