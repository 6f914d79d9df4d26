"""Whether all that a profile takes from a hub is pinned and can be had."""

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from reproduce.config import Params
from reproduce.preflight.lines import Check, Found, failed, not_applicable, passed

TIMEOUT = 20.0
"""Seconds that a hub may take to answer."""


@dataclass(frozen=True)
class Pin:
    """Something of a hub: the parameter that names it, its name and commit."""

    parameter: str
    name: str
    revision: str | None
    kind: Literal["model", "dataset"]


def pins(params: Params) -> list[Pin]:
    """Return all that a profile takes from a hub, local folders included."""
    found = []
    if base := params.base.published:
        found.append(Pin("base.published", base.model, base.revision, "model"))
    if judge := params.judging.published:
        found.append(Pin("judging.published", judge.model, judge.revision, "model"))
    for name, each in (params.data.hub.sets if params.data.hub else {}).items():
        found.append(Pin(f"data.hub.sets.{name}", each.repo, each.revision, "dataset"))
    return found


def hub_checks(params: Params) -> dict[str, Check]:
    """Return the checks of a profile's pins, and one for each thing of a hub."""
    wanted = pins(params)
    if not wanted:
        return {"hub": lambda: not_applicable("the profile takes nothing from a hub")}
    checks: dict[str, Check] = {"pins": partial(pinned, wanted)}
    for pin in wanted:
        checks[f"hub: {pin.parameter}"] = partial(reachable, pin)
    return checks


def pinned(wanted: list[Pin]) -> Found:
    """Return whether each thing of a hub has a commit; a local folder needs none."""
    loose = [p for p in wanted if p.revision is None and not Path(p.name).is_dir()]
    if loose:
        names = ", ".join(f"{pin.parameter} ({pin.name})" for pin in loose)
        return failed(f"no revision: {names}; give each the 40 digits of a commit of its hub")
    return passed(f"{len(wanted)} of {len(wanted)} are local or have a revision")


def reachable(pin: Pin) -> Found:
    """Return whether a thing can be had at its commit: here, from the cache, or from the hub."""
    if Path(pin.name).is_dir():
        return passed(f"{pin.name} is a folder here")
    if pin.name.startswith(("http://", "https://")):
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
    request = urllib.request.Request(pin.name, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return passed(f"{pin.name} answers with status {answer.status}")
    except (OSError, ValueError) as error:
        return failed(f"{pin.name}: {error}; check the address and the network")


def _offline() -> bool:
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )
