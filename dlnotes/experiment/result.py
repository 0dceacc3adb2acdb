"""What a run returns, and a run opened for use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.groups import Group
from dlnotes.experiment.metrics_log import read_metrics
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.training.state import TrainState, evaluated_params


@dataclass(frozen=True)
class Result:
    """What a run returns.

    Attributes:
      folder: the run folder, ``None`` when nothing was kept.
      config: as run.
      summary: as in summary.json.
      dataset: what it was trained on.
      groups: the members of each compiled program.
      states: the final state of each group, on the host.
    """

    folder: Path | None
    config: Config
    summary: dict[str, Any]
    dataset: Dataset
    groups: tuple[Group, ...]
    states: tuple[TrainState, ...]

    @property
    def metrics(self) -> dict[str, Any]:
        """Final metrics of the first (or only) sweep point: split → metric → mean, interval, values."""
        return self.summary["points"][0]["metrics"]

    def params(self, member: int = 0, group: int = 0) -> Any:
        """The parameters that are evaluated, of one member."""
        return jax.tree.map(lambda a: a[member], evaluated_params(self.states[group].members, best=True))

    def history(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl (of the first group)."""
        if self.folder is None:
            raise ValueError("history: this run kept no folder")
        return read_metrics(RunFolder(self.folder).group(0, len(self.groups)) / "metrics.jsonl")


@dataclass(frozen=True)
class Trained:
    """A finished or interrupted run opened for use.

    Attributes:
      folder: of the run.
      config: of the group.
      dataset: as in training (for sizes, names and normalization).
      evaluator: of the group.
      state: its newest whole checkpoint.
    """

    folder: RunFolder
    config: Config
    dataset: Dataset
    evaluator: Evaluator
    state: TrainState
