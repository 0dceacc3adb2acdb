"""Where a training stands, told to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlnotes.experiment.durations import Durations


@dataclass(frozen=True)
class Progress:
    """Where a training stands, for a display.

    Attributes:
      step, total: steps taken and to take.
      epoch: epochs done.
      metrics: mean over running members of the latest values, by name ("loss", "validation loss" …).
      examples_per_second: of the latest chunk, over all members; 0 before the first.
      running, members: members still training, and all.
      message: a notable event (a member stopped, a damaged checkpoint), or "".
      stage: what goes before the training: "layer 1 of 2 (rbm)" of a pretraining, whose steps and epochs
        these are; "" in the training itself.
    """

    step: int
    total: int
    epoch: float
    metrics: dict[str, float]
    examples_per_second: float
    running: int
    members: int
    message: str = ""
    stage: str = ""


Watch = Callable[[Progress], None]


class _Watcher:
    """Keeps the latest values together for a `Watch`."""

    def __init__(self, watch: Watch, lengths: Durations, members: int, *, stage: str = ""):
        self.watch, self.lengths, self.members = watch, lengths, members
        self.metrics: dict[str, float] = {}
        self.last = Progress(0, lengths.total, 0.0, {}, 0.0, members, members, stage=stage)

    def keep(self, metrics: dict[str, float]) -> None:
        self.metrics |= metrics

    def at(self, step: int, metrics: dict[str, float], rate: float, stopped: np.ndarray) -> None:
        self.metrics |= metrics
        running = self.members - int(stopped.sum())
        epoch = step / self.lengths.per_epoch
        stage, metrics = self.last.stage, dict(self.metrics)
        self.last = Progress(
            step, self.lengths.total, epoch, metrics, rate, running, self.members, stage=stage
        )
        self.watch(self.last)

    def say(self, message: str) -> None:
        last = self.last
        self.watch(Progress(**{**last.__dict__, "message": message}))
