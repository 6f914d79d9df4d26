"""The study as MLflow runs, from the records of its runs; nothing else logs to MLflow.

A stage that DVC skips or restores from its cache appears all the same. The database may be
deleted at any time: the next call of `track` builds it again.
"""

import contextlib
import json
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from reproduce.local_runs import Entry, insert
from reproduce.records import Cell, Content, Runs
from reproduce.utils.files import text_id, write_text
from reproduce.utils.progress import told

NAME = "dancing-in-chains"
SAMPLES = "samples.json"
KEPT = "the repository's record of runs"
"""Tag of a run whose artifacts were not there when it was logged."""
BATCH = 800
"""Metrics a request; MLflow takes at most 1,000 values in one."""

MOVE_AWAY = "move the file away if it is damaged or of another MLflow: the next call builds another"

COMPLETE = "complete"
"""Tag of a run that was logged to its end."""
PARENT = "mlflow.parentRunId"
TABLES = "mlflow.loggedArtifacts"

Receipt = dict[str, dict[str, dict[str, str]]]


class TrackingError(Exception):
    """An MLflow store that cannot be reached, opened or written to."""


@dataclass(frozen=True)
class Store:
    """An open MLflow experiment."""

    client: Any
    experiment: str
    profile: str
    owner: str
    files: Path | None
    """Where the runs' files lie, if the database is of this folder; None: the store decides."""


def track(profile: str, runs: Runs, artifacts: Path, tables: Path | None = None) -> Receipt:
    """Bring MLflow to the state of `runs` and return what it then holds.

    A parent run an experiment, with its files of the folder `tables`, and a child run an arm and
    seed. Runs of an unfinished call, of an older record or of an arm that is no more are
    deleted, runs that are right are left alone, other people's runs are not touched: those that
    `track` did not log, and on a server those of another clone. A run whose responses are here
    takes the place of one that was logged without.

    Returns experiment -> arm -> seed -> record hash, the same on every call.

    Raises TrackingError if MLflow fails.
    """
    cells, experiments = list(runs), list(dict.fromkeys(cell.experiment for cell in runs))
    uri, files = tracking_uri(artifacts)
    with _opened(uri, files, profile, _owner(artifacts) if files is None else "") as store:
        wanted = {c.name: (c.record, c.scored) for c in cells}
        wanted |= dict.fromkeys(experiments, ("", ""))
        kept, wrong = sift(_runs(store), wanted, any(cell.kept for cell in cells))
        for run in wrong:
            store.client.delete_run(run)
        parents = _parents(store, experiments, kept, tables)
        missing = {cell: read for cell, read in runs.items() if cell.name not in kept}
        _adopt(store, cells, kept, parents)
        seconds = _log_all(store, missing, parents)
    print(_summary(len(missing), seconds, len(cells) - len(missing), len(wrong), shown(uri)))
    receipt: Receipt = {}
    for cell in cells:
        arms = receipt.setdefault(cell.experiment, {})
        arms.setdefault(cell.arm, {})[str(cell.seed)] = cell.record
    return receipt


def tracking_uri(artifacts: Path) -> tuple[str, str | None]:
    """Return the URI of the store and of its files (None: the store decides), both absolute.

    MLFLOW_TRACKING_URI wins; else both lie beside `artifacts`, in the folder of the profile.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return given, None
    folder = artifacts.parent.resolve()
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}", (folder / "mlartifacts").as_uri()


def _owner(artifacts: Path) -> str:
    """Return a name of this clone, by which it knows its runs among those of a team."""
    kept = artifacts.parent / ".cache" / "owner"
    if not kept.is_file():
        write_text(kept, uuid.uuid4().hex[:12])
    return kept.read_text(encoding="utf-8")


def _owned(store: Store) -> dict[str, str]:
    return {"owner": store.owner} if store.owner else {}


def shown(text: str) -> str:
    """Return `text` with the user, password and query of every URI in it left out."""
    return re.sub(r"(://[^\s?]*)\?\S*", r"\1", re.sub(r"://[^/\s]*@", "://", text))


def sift(
    runs: Iterable[Any], wanted: Mapping[str, tuple[str, str]], bare: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Return cell -> the MLflow run to keep for it, and the ids of the runs to delete.

    A run is kept that is complete and has the hashes that `wanted` gives for its cell, of its
    artifacts and of what its scores were reckoned with; of equal ones the first. One without
    responses is kept where those to log have none (`bare`).
    """
    kept: dict[str, Any] = {}
    wrong: list[str] = []
    for run in runs:
        tags = run.data.tags
        cell = tags["cell"]
        right = tags.get(COMPLETE) == "true" and run.info.status == "FINISHED"
        right = right and (bare or tags.get("origin") != KEPT)
        hashes = (tags.get("record", ""), tags.get("scored", ""))
        if right and cell not in kept and wanted.get(cell) == hashes:
            kept[cell] = run
        else:
            wrong.append(run.info.run_id)
    return kept, wrong


@contextlib.contextmanager
def _opened(uri: str, files: str | None, profile: str, owner: str) -> Iterator[Store]:
    """Yield the MLflow experiment of a profile, made if need be; its errors hold no password."""
    _quieten()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with _hurried() if files else contextlib.nullcontext():
        try:
            if files:
                _refuse_damaged(uri.removeprefix("sqlite:///"))
            client = MlflowClient(uri, registry_uri=uri)
            experiment = _experiment(client, f"{NAME}/{profile}", files)
            folder = Path(url2pathname(urlsplit(files).path)) if files else None
            yield Store(client, experiment, profile, owner, folder)
        except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            hint = f" ({MOVE_AWAY})" if files else ""
            raise TrackingError(f"MLflow at {shown(uri)}{hint}: {_masked(error, uri)}") from None


def _refuse_damaged(database: str) -> None:
    # At once: MLflow itself would try to open it again and again for minutes.
    if Path(database).exists():
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA schema_version")


def _masked(error: Exception, uri: str) -> str:
    """Return the text of an error without the password and query of the URI."""
    text = shown(str(error))
    parts = urlsplit(uri)
    for secret in (parts.netloc.rpartition("@")[0], parts.query):
        text = text.replace(secret, "***") if secret else text
    return text


def _quieten() -> None:
    import logging

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    # A server would have a line printed for each run, its URI with the password in it.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextlib.contextmanager
def _hurried() -> Iterator[None]:
    """Let SQLite not wait for the disk after each write; the database can be built again."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def hurry(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hurry)
    try:
        yield
    finally:
        event.remove(Engine, "connect", hurry)


def _experiment(client: Any, name: str, files: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found and files and found.artifact_location != files:
        # The folder was moved: MLflow keeps absolute paths and would show no file of these runs.
        client.rename_experiment(found.experiment_id, f"{name} (moved, {found.experiment_id})")
        client.delete_experiment(found.experiment_id)
        found = None
    if found is None:
        return str(client.create_experiment(name, artifact_location=files))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _runs(store: Store) -> list[Any]:
    """Return the runs of the experiment that `track` made for this owner, finished or not."""
    runs: list[Any] = []
    token = None
    while True:
        page = store.client.search_runs([store.experiment], max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            tags = [(run, run.data.tags) for run in runs]
            return [r for r, t in tags if "cell" in t and t.get("owner", "") == store.owner]


def _parents(
    store: Store, experiments: Iterable[str], kept: Mapping[str, Any], tables: Path | None
) -> dict[str, str]:
    """Return experiment -> id of its parent run, each with the tables of the experiment."""
    parents: dict[str, str] = {}
    for name in experiments:
        tags = {"profile": store.profile, "experiment": name, "cell": name, **_owned(store)}
        files = sorted(tables.glob(f"{name}.*")) if tables else []
        content = text_id(*(part for f in files for part in (f.name, f.read_bytes().hex())))
        run = kept.get(name)
        if run is None:
            run = store.client.create_run(store.experiment, tags=tags, run_name=name)
        parents[name] = run.info.run_id
        if run.data.tags.get("tables") != content:
            for file in files:
                store.client.log_artifact(parents[name], str(file), "tables")
            store.client.set_tag(parents[name], "tables", content)
        if name not in kept:
            store.client.set_tag(parents[name], COMPLETE, "true")
            store.client.set_terminated(parents[name])
    return parents


def _adopt(
    store: Store, cells: Iterable[Cell], kept: Mapping[str, Any], parents: Mapping[str, str]
) -> None:
    """Hang the runs that are kept below a parent run that is new."""
    for cell in cells:
        run, parent = kept.get(cell.name), parents[cell.experiment]
        if run and run.data.tags.get(PARENT) != parent:
            store.client.set_tag(run.info.run_id, PARENT, parent)


def _log_all(store: Store, runs: Runs, parents: Mapping[str, str]) -> float:
    """Log runs and return the seconds that it took once they were read."""
    entries = [
        _entry(store, cell, parents[cell.experiment], read())
        for cell, read in told(list(runs.items()), "reading runs")
    ]
    began = time.monotonic()
    if store.files:
        insert(store.client._tracking_client.store, store.experiment, store.files, entries)
    else:
        for entry in told(entries, "logging runs"):
            _send(store, entry)
    return time.monotonic() - began


def _entry(store: Store, cell: Cell, parent: str, content: Content) -> Entry:
    tags = {
        "profile": store.profile,
        "experiment": cell.experiment,
        "arm": cell.arm,
        "seed": str(cell.seed),
        "cell": cell.name,
        "record": cell.record,
        "scored": cell.scored,
        PARENT: parent,
        **_owned(store),
        **({"origin": KEPT} if cell.kept else {}),
        **({TABLES: json.dumps([{"path": SAMPLES, "type": "table"}])} if content.samples else {}),
        **content.inputs,
        COMPLETE: "true",
    }
    texts = {SAMPLES: content.samples} if content.samples else {}
    name = cell.name.split("/", 1)[1]
    return Entry(name, tags, content.parameters, content.points, texts)


def _send(store: Store, entry: Entry) -> None:
    """Log a run by MLflow's calls, the mark that it is complete last."""
    from mlflow.entities import Metric, Param, RunTag

    client = store.client
    tags = {key: value for key, value in entry.tags.items() if key != COMPLETE}
    run = client.create_run(store.experiment, tags=tags, run_name=entry.name)
    run_id, now = run.info.run_id, int(time.time() * 1000)
    for name, text in entry.texts.items():
        client.log_text(run_id, text, name)
    metrics = [Metric(key, value, now, step) for key, value, step in entry.points]
    for start in range(BATCH, len(metrics), BATCH):
        client.log_batch(run_id, metrics[start : start + BATCH])
    parameters = [Param(key, value) for key, value in entry.parameters.items()]
    client.log_batch(run_id, metrics[:BATCH], parameters, [RunTag(COMPLETE, "true")])
    client.set_terminated(run_id)


def _summary(logged: int, seconds: float, left: int, removed: int, uri: str) -> str:
    served = uri.startswith("http")
    look = f"see {uri}" if served else f"see them with `mlflow ui --backend-store-uri {uri}`"
    if not logged and not removed:
        return f"MLflow holds all {left} runs already, nothing changed; {look}"
    pace = f" ({logged / seconds:.0f} a second)" if logged else ""
    return f"MLflow: {logged} runs logged{pace}, {left} left alone, {removed} deleted; {look}"
