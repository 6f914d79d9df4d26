"""Whether the MLflow database holds the runs that are here; it is only read, and never made."""

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from reproduce.files import SUMS, fingerprint

REBUILD = "`reproduce tracking`"
COMPLETE = """
    SELECT cell.value, record.value FROM runs
    JOIN tags AS cell ON cell.run_uuid = runs.run_uuid AND cell.key = 'cell'
    JOIN tags AS record ON record.run_uuid = runs.run_uuid AND record.key = 'record'
    JOIN tags AS done ON done.run_uuid = runs.run_uuid AND done.key = 'complete'
    WHERE runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'
"""
"""Cell and record of each run that was logged to its end."""


def state_of_index(artifacts: Path, arms: Iterable[str], seeds: Iterable[int]) -> str:
    """Return what is wrong with the MLflow database beside `artifacts`, with what to do, or "".

    Its runs are compared with the `arms` ("experiment/arm") that are here. A server that
    MLFLOW_TRACKING_URI names is not asked.
    """
    database = artifacts.parent / "mlflow.db"
    wanted = _wanted(artifacts, arms, list(seeds))
    if os.environ.get("MLFLOW_TRACKING_URI") or not wanted:
        return ""
    if not database.is_file():
        return f"there is no MLflow database here; {REBUILD} builds it"
    try:
        version, runs = _read(database)
    except sqlite3.Error as error:
        return f"{database}: {error}; move it away and run {REBUILD}, which builds another"
    if (newest := newest_schema()) and version != newest:
        return (
            f"{database} is of another version of MLflow (schema {version}, installed {newest}); "
            f"move it away and run {REBUILD}, which builds another"
        )
    lacking = sum(runs.get(cell) != record for cell, record in wanted.items())
    if not lacking:
        return ""
    return (
        f"MLflow holds {len(wanted) - lacking} of the {len(wanted)} runs that are here: it was "
        f"stopped, or made before them; {REBUILD} logs the others and leaves the right ones alone"
    )


def newest_schema() -> str:
    """Return the version of the database schema of the installed MLflow; "" if it has none."""
    found = find_spec("mlflow")  # Importing it takes seconds.
    places = (found.submodule_search_locations if found else None) or []
    files = [f for place in places for f in Path(place).glob("store/db_migrations/versions/*.py")]
    pattern = re.compile(r'^(revision|down_revision)\b[^=]*= *"(\w+)"', re.MULTILINE)
    marks = [mark for file in files for mark in pattern.findall(file.read_text(encoding="utf-8"))]
    newer = {name for kind, name in marks if kind == "revision"}
    heads = newer - {name for kind, name in marks if kind == "down_revision"}
    return heads.pop() if len(heads) == 1 else ""


def _wanted(artifacts: Path, arms: Iterable[str], seeds: list[int]) -> dict[str, str]:
    there = [arm for arm in arms if (artifacts / arm / SUMS).is_file()]
    records = {arm: fingerprint(artifacts / arm) for arm in there}
    return {f"{arm}/seed-{seed}": record for arm, record in records.items() for seed in seeds}


def _read(database: Path) -> tuple[str, Mapping[str, str]]:
    uri = f"{database.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return (version[0] if version else "none"), dict(connection.execute(COMPLETE))
