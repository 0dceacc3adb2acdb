"""Tracks as MLflow runs: the points of a sweep are children of one run."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlnotes.experiment.loggers.stores import sqlite_path
from dlnotes.experiment.loggers.tracks import WHOLE, Row, Track

if TYPE_CHECKING:
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

MOST_METRICS, MOST_PARAMS, MOST_LETTERS, MOST_KEY = 1000, 100, 6000, 250
"""What MLflow takes in one call, in one value, and in one name."""

_STATUS = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


def client_of(uri: str) -> MlflowClient:
    """MLflow's client of a store, which is quiet and gives up in seconds where nobody answers."""
    # A server that is gone must not hold a training for minutes; what the user chose stays.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    if uri.startswith("sqlite"):  # a local store: nothing leaves the machine
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


class MlflowRuns:
    """Writes tracks into an MLflow store.

    Args:
      uri: of the store.
      project: name of the experiment.
      known: track's key → id of its MLflow run, of the processes before.

    Attributes:
      ids: as ``known``, with what was made since.
    """

    def __init__(self, uri: str, project: str, known: Mapping[str, str]):
        self.client, self.ids = client_of(uri), dict(known)
        self.experiment = self._experiment(uri, project)

    def open(self, track: Track) -> None:
        """Begin a track's run, or go on with it.

        A parameter that is not what it was (a longer duration) is noted as a tag: MLflow keeps the first.
        """
        from mlflow.entities import Param, RunTag  # pyright: ignore[reportMissingImports]

        params = {_key(name): value[:MOST_LETTERS] for name, value in track.params.items()}
        before = self._found(track.key)
        if before is None:
            parent = {"mlflow.parentRunId": self.ids[WHOLE]} if track.kind == "point" else {}
            source = {"mlflow.source.name": "dlnotes", "mlflow.source.type": "LOCAL"}
            tags = {_key(name): value[:MOST_LETTERS] for name, value in track.tags.items()}
            made = self.client.create_run(
                self.experiment, run_name=track.title[:MOST_KEY], tags=tags | source | parent
            )
            self.ids[track.key] = made.info.run_id
            new, changed = params, {}
        else:
            self.client.update_run(self.ids[track.key], status="RUNNING")
            had = before.data.params
            new = {name: value for name, value in params.items() if name not in had}
            changed = {n: v for n, v in params.items() if n in had and had[n] != v}
        run = self.ids[track.key]
        for some in _parts(list(new.items()), MOST_PARAMS):
            self.client.log_batch(run, params=[Param(n, v) for n, v in some])
        for some in _parts(list(changed.items()), MOST_PARAMS):
            self.client.log_batch(run, tags=[RunTag(_key(f"resumed.{n}"), v) for n, v in some])

    def write(self, key: str, rows: Sequence[Row]) -> None:
        """Add rows of numbers to a track."""
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

        now = int(time.time() * 1000)
        metrics = [Metric(_key(n), v, now, row.step) for row in rows for n, v in row.values.items()]
        for some in _parts(metrics, MOST_METRICS):
            self.client.log_batch(self.ids[key], metrics=some)

    def measured(self, key: str, row: Row) -> None:
        """Add a track's final metrics."""
        self.write(key, [row])

    def note(self, key: str, tags: Mapping[str, str]) -> None:
        """Add tags to a track."""
        for name, value in tags.items():
            self.client.set_tag(self.ids[key], _key(name), value[:MOST_LETTERS])

    def keep(self, key: str, files: Iterable[tuple[Path, str]]) -> None:
        """Keep files with a track, each in a folder of its artifacts."""
        for path, folder in files:
            self.client.log_artifact(self.ids[key], str(path), folder or None)

    def close(self, key: str, status: str) -> None:
        """End a track: ``"done"``, ``"interrupted"`` or ``"failed"``."""
        self.client.set_terminated(self.ids[key], status=_STATUS[status])

    def _found(self, key: str) -> Any:
        """MLflow's run of a track, ``None`` where there is none, or it was deleted."""
        from mlflow.exceptions import MlflowException  # pyright: ignore[reportMissingImports]

        if key not in self.ids:
            return None
        try:
            run = self.client.get_run(self.ids[key])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def _experiment(self, uri: str, project: str) -> str:
        found = self.client.get_experiment_by_name(project)
        if found is not None and found.lifecycle_stage == "active":
            return found.experiment_id
        path = sqlite_path(uri)
        # MLflow would put them into the folder where the command was given.
        beside = None if path is None else (path.parent / "mlflow-artifacts" / _folder(project)).as_uri()
        return self.client.create_experiment(project, artifact_location=beside)


def _parts(items: Sequence[Any], most: int) -> Iterable[Sequence[Any]]:
    return (items[i : i + most] for i in range(0, len(items), most))


def _key(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)[:MOST_KEY]


def _folder(name: str) -> str:
    return re.sub(r"[^\w\-.]", "_", name)
