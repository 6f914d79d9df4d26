"""Whether the MLflow database holds the runs that are here; it is only read, and never made."""

import contextlib
import os
import re
import sqlite3
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

REBUILD = "`reproduce tracking`"
COMPLETE = """
    SELECT cell.value, record.value, scored.value FROM runs
    JOIN tags AS cell ON cell.run_uuid = runs.run_uuid AND cell.key = 'cell'
    JOIN tags AS record ON record.run_uuid = runs.run_uuid AND record.key = 'record'
    JOIN tags AS scored ON scored.run_uuid = runs.run_uuid AND scored.key = 'scored'
    JOIN tags AS done ON done.run_uuid = runs.run_uuid AND done.key = 'complete'
    WHERE runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'
"""
"""Cell, record and `scored` of each run that was logged to its end."""


def state_of_index(database: Path, wanted: Mapping[str, tuple[str, str]]) -> str:
    """Return what is wrong with the MLflow database, with what to do, or "".

    `wanted` are the runs that are here, as `stage_records.hashes_here` has them. A server that
    MLFLOW_TRACKING_URI names is not asked.
    """
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
    lacking = sum(runs.get(cell) != hashes for cell, hashes in wanted.items())
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


def _read(database: Path) -> tuple[str, Mapping[str, tuple[str, str]]]:
    uri = f"{database.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        runs = {cell: (record, scored) for cell, record, scored in connection.execute(COMPLETE)}
        return (version[0] if version else "none"), runs
