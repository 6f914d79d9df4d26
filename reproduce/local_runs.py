"""Runs written to an MLflow database of this folder, all in one transaction.

MLflow's own calls take some tens of milliseconds a run. The classes of the tables are MLflow's, and
a test holds what is written here to what its calls write.
"""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.records import Point
from reproduce.utils.files import write_text

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A finished run: its name and tags, parameters, points (metric, value, step) and texts.

    `texts` are file name -> content.
    """

    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    points: list[Point]
    texts: Mapping[str, str]


def insert(store: Any, experiment: str, files: Path, entries: Iterable[Entry]) -> None:
    """Write runs to the database behind MLflow's `store`, their texts below `files`; all or none.

    Texts are written first: a run that is in the database has all that belongs to it.
    """
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import insert as into

    rows: dict[Any, list[Row]] = {
        models.SqlRun: [], models.SqlTag: [], models.SqlParam: [], models.SqlMetric: [],
        models.SqlLatestMetric: [],
    }  # fmt: skip
    now = int(time.time() * 1000)
    for entry in entries:
        run = {"run_uuid": uuid.uuid4().hex}
        folder = files / run["run_uuid"] / "artifacts"
        for name, text in entry.texts.items():
            write_text(folder / name, text)
        rows[models.SqlRun].append(run | _run(entry.name, experiment, folder, now))
        tags = {**entry.tags, "mlflow.runName": entry.name}
        rows[models.SqlTag] += [{**run, "key": k, "value": v} for k, v in tags.items()]
        settings = entry.parameters.items()
        rows[models.SqlParam] += [{**run, "key": k, "value": v} for k, v in settings]
        points = _metrics(entry.points, now)
        rows[models.SqlMetric] += [{**run, **point} for point in points]
        latest = {point["key"]: point for point in sorted(points, key=_age)}
        rows[models.SqlLatestMetric] += [{**run, **point} for point in latest.values()]
    with store.ManagedSessionMaker(read_only=False) as session:
        for table, found in rows.items():
            if found:
                session.execute(into(table), found)


def _run(name: str, experiment: str, folder: Path, now: int) -> Row:
    return {
        "name": name, "experiment_id": int(experiment), "artifact_uri": folder.as_uri(),
        "source_type": "UNKNOWN", "source_name": "", "source_version": "", "entry_point_name": "",
        "user_id": "unknown", "status": "FINISHED", "start_time": now, "end_time": now,
        "deleted_time": None, "lifecycle_stage": "active",
    }  # fmt: skip


def _metrics(points: Iterable[Point], now: int) -> list[Row]:
    # MLflow takes a value of a metric and step once.
    return [
        {"key": key, "value": value, "timestamp": now, "step": step, "is_nan": False}
        for key, value, step in dict.fromkeys(points)
    ]


def _age(point: Row) -> tuple[int, int, float]:
    # Which of several values MLflow takes as a metric's latest.
    return point["step"], point["timestamp"], point["value"]
