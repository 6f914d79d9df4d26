"""A profile with changed parameters, and what is said where they are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nested import block_of

from reproduce.config import ConfigError

ROOT = Path(__file__).parent.parent
GONE = object()
"""In place of a value: the key is taken out."""

Patch = tuple[str, Any]


def profile_in(folder: Path) -> Path:
    """Copy the files that are checked of the default profile to `folder`; return it."""
    (folder / "paper").mkdir()
    for name in ("params.yaml", "experiments.yaml", "paper/claims.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def change(path: Path, *patches: Patch) -> None:
    whole = yaml.safe_load(path.read_text())
    for place, value in patches:
        block, last = block_of(whole, place)
        if value is GONE:
            del block[last]
        else:
            block[last] = value
    path.write_text(yaml.safe_dump(whole))


def refusal(load: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as found:
        load()
    return str(found.value)
