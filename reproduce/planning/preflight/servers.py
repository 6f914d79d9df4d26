"""Whether the served judge answers, and whether the server of candidates can be started."""

import json
import os
import shlex
import shutil
import urllib.error
import urllib.request
from typing import Any

from reproduce.config import JudgeServer, Params, Rated, is_local
from reproduce.planning.preflight.lines import Check, Found, failed, not_applicable, passed
from reproduce.utils.openai_client import key_of

TIMEOUT = 20.0
"""Seconds that a server may take to answer."""


def server_checks(params: Params) -> dict[str, Check]:
    """Return the checks of a profile's servers."""
    return {
        "served judge": lambda: judge_answers(params.judging.rated, params.servers.judge),
        "served sampler": lambda: sampler_starts(params),
    }


def secrets(params: Params) -> list[str]:
    """Return the keys that no line may hold."""
    judge = params.servers.judge
    return [key for key in [os.environ.get(judge.key, "") if judge else ""] if key]


def judge_answers(rated: Rated | None, judge: JudgeServer | None) -> Found:
    """Return whether the judge's server lists its model; the key goes nowhere else.

    Raises EndpointError where the variable that should hold the key does not.
    """
    if rated is None or judge is None:
        return not_applicable("instruction following is judged by programs")
    where, key = f"{judge.url.rstrip('/')}/models", key_of("servers.judge", judge.key)
    request = urllib.request.Request(where)
    request.add_unredirected_header("Authorization", f"Bearer {key}")
    # As the run asks it: a proxy of the environment is for the world outside.
    proxies = urllib.request.ProxyHandler({} if is_local(judge.url) else None)
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=TIMEOUT) as answer:
            told: Any = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            named = f"the key in {judge.key} was refused" if judge.key else "it asks for a key"
            return failed(f"{where}: status {error.code}; {named} (servers.judge.key)")
        return failed(f"{where}: status {error.code}; check servers.judge.url")
    except (OSError, ValueError) as error:
        return failed(f"{where}: no answer ({error}); check servers.judge.url and the server")
    names = [each.get("id") for each in told.get("data", [])] if isinstance(told, dict) else []
    if names and rated.model not in names:
        some = ", ".join(sorted(map(str, names))[:10])
        return failed(f"{where} lists no '{rated.model}' (judging.rated.model) but {some}")
    return passed(f"{where} answers" + (f" and lists {rated.model}" if names else ""))


def sampler_starts(params: Params) -> Found:
    """Return whether the command that serves candidates is on the PATH."""
    served = params.candidates.served
    if served is None:
        return not_applicable("candidates are sampled in the study's own process")
    return on_path(served.command, "candidates.served.command")


def on_path(command: str, parameter: str) -> Found:
    """Return whether the first word of a command is found on the PATH."""
    word = shlex.split(command)[0]
    found = shutil.which(word)
    if found is None:
        return failed(f"'{word}' is not on the PATH: install it, or change {parameter}")
    return passed(f"{word} is {found}")
