"""Checks and the lines they make."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True)
class Line:
    """What one check found: `said` holds what is there and, where it fails, what to do."""

    check: str
    status: Status
    said: str


Found = tuple[Status, str]
Check = Callable[[], Found]


def passed(said: str) -> Found:
    """Return that a check passes."""
    return "pass", said


def failed(said: str) -> Found:
    """Return that a check fails; `said` ends with what to do."""
    return "fail", said


def not_applicable(said: str) -> Found:
    """Return that a profile, or this machine, has nothing to check."""
    return "not applicable", said


def carried_out(checks: Mapping[str, Check], secrets: Sequence[str] = ()) -> list[Line]:
    """Return the line of each check, in order; one that breaks is a line that fails.

    None of `secrets` stands in any line.
    """
    found = []
    for name, check in checks.items():
        try:
            status, said = check()
        except Exception as error:
            status, said = failed(f"{type(error).__name__}: {error}")
        found.append(Line(name, status, without(said, secrets)))
    return found


def without(text: str, secrets: Sequence[str]) -> str:
    """Return a text, white space as single spaces, with a mark in place of each secret."""
    for secret in secrets:
        # Errors show what they were given as Python writes it.
        for form in (secret, repr(secret)[1:-1], secret.strip()):
            text = text.replace(form, "<key>") if form.strip() else text
    return " ".join(text.split())


def as_text(found: Sequence[Line]) -> str:
    """Return the lines for a terminal, below each other, and how many of each there are."""
    width = max(len(line.check) for line in found)
    marks = {"pass": "pass", "fail": "FAIL", "not applicable": "n/a "}
    shown = [f"{marks[line.status]}  {line.check.ljust(width)}  {line.said}" for line in found]
    count = {status: sum(line.status == status for line in found) for status in marks}
    return "\n".join([*shown, ", ".join(f"{number} {status}" for status, number in count.items())])
