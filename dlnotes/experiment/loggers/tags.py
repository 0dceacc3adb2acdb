"""What a logger is told of a run beside its config: version, commit, placement, folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dlnotes.config import Config
from dlnotes.experiment.kept_files import DamagedFile, read_json
from dlnotes.experiment.run_folder import RunFolder


def tags_of(kept: RunFolder, placements: Sequence[str]) -> dict[str, str]:
    """The tags of a run, from its environment.json.

    Args:
      kept: the run folder.
      placements: where its groups are trained, in words.
    """
    try:
        environment: dict[str, Any] = read_json(kept.environment_path) or {}
    except DamagedFile:  # told by who needs it more
        environment = {}
    versions = environment.get("versions", {})
    uncommitted = environment.get("uncommitted")
    found = {
        "dlnotes.version": versions.get("dlnotes"),
        "dlnotes.commit": environment.get("commit"),
        "dlnotes.uncommitted": None if uncommitted is None else "yes" if uncommitted else "no",
        "dlnotes.placement": "; ".join(dict.fromkeys(placements)),
        "dlnotes.folder": str(kept.path.absolute()),
        "dlnotes.platform": environment.get("platform"),
        "dlnotes.jax": versions.get("jax"),
        "dlnotes.python": versions.get("python"),
    }
    return {name: value for name, value in found.items() if value}


def project_of(config: Config, variable: str) -> str:
    """The MLflow experiment or W&B project: of the config, else of their own variable, else the run's name.

    Args:
      config: of the run.
      variable: ``"MLFLOW_EXPERIMENT_NAME"`` or ``"WANDB_PROJECT"``.
    """
    return config.output.project or os.environ.get(variable) or config.name
