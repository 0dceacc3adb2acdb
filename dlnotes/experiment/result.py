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
from dlnotes.experiment.members import Chosen, PointName, choose, good_member
from dlnotes.experiment.metrics_log import read_metrics
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.pretraining.learner import Encoder
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
      pretrained: the encoders of each group's pretraining as they were before the training, leaves
        ``(seeds, ...)``; empty without any.
    """

    folder: Path | None
    config: Config
    summary: dict[str, Any]
    dataset: Dataset
    groups: tuple[Group, ...]
    states: tuple[TrainState, ...]
    pretrained: tuple[tuple[Encoder, ...], ...] = ()

    def chosen(self, point: PointName = None, member: int | None = None) -> Chosen:
        """The best sweep point (on validation), or the one that is named, and its members.

        Args:
          point: its number from 0, or its values: ``{"optimizer.learning_rate": 0.01}``.
          member: counted over all seeds of all points from 0, or with ``point`` over its seeds.

        Raises:
          ValueError: when there is no such point or member, or every member failed.
        """
        return choose(self.groups, self.summary["points"], point, member)

    @property
    def metrics(self) -> dict[str, Any]:
        """Final metrics of the best (or only) sweep point: split → metric → mean, interval, values."""
        return self.metrics_of()

    def metrics_of(self, point: PointName = None) -> dict[str, Any]:
        """As `metrics`, of any sweep point.

        Args:
          point: see `chosen`.
        """
        return self.summary["points"][self.chosen(point).point]["metrics"]

    def params(self, member: int | None = None, *, point: PointName = None) -> Any:
        """The parameters that are evaluated, of one member: of the best point the first that did not fail.

        Args:
          member, point: see `chosen`.

        Raises:
          ValueError: when that member failed, or all did.
        """
        chosen = self.chosen(point, member)
        members = self.states[chosen.group].members
        which = good_member(chosen, members)
        return jax.tree.map(lambda a: a[which], evaluated_params(members, best=True))

    def history(self, point: PointName = None) -> list[dict[str, Any]]:
        """The records of metrics.jsonl, with the values of the best (or only) sweep point's seeds.

        Args:
          point: see `chosen`.
        """
        if self.folder is None:
            raise ValueError("history: this run kept no folder")
        chosen = self.chosen(point)
        path = RunFolder(self.folder).group(chosen.group, len(self.groups)) / "metrics.jsonl"
        return [
            {k: v[chosen.members] if isinstance(v, list) else v for k, v in record.items()}
            for record in read_metrics(path)
        ]


@dataclass(frozen=True)
class Trained:
    """A finished or interrupted run opened for use.

    Attributes:
      folder: of the run.
      config: of the group.
      dataset: as in training (for sizes, names and normalization).
      evaluator: of the group.
      state: its newest whole checkpoint.
      chosen: the sweep point that is used, see `dlnotes.experiment.members.choose`.
      groups: of the run.
    """

    folder: RunFolder
    config: Config
    dataset: Dataset
    evaluator: Evaluator
    state: TrainState
    chosen: Chosen
    groups: tuple[Group, ...]
