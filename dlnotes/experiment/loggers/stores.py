"""Where an MLflow store is: the config's, that of the environment, or the run folder's own."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from dlnotes.config import Config


def store_of(config: Config) -> str | None:
    """The MLflow store of the config or ``MLFLOW_TRACKING_URI``; ``None`` for the run folder's own."""
    chosen = config.output.mlflow
    if not chosen:
        return None
    return chosen if isinstance(chosen, str) else os.environ.get("MLFLOW_TRACKING_URI") or None


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite store, ``None`` of any other."""
    if urlsplit(uri).scheme.split("+")[0] != "sqlite":
        return None
    return Path(uri.partition(":///")[2] or "mlflow.db").absolute()
