"""A training as one line of a bar: what is said beside it, on a terminal and in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dlnotes.experiment.progress import Progress, Watch
from dlnotes.formatting import duration_in_words, value_in_words

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn


def columns() -> tuple[ProgressColumn, ...]:
    """What a bar shows: what is done, how far, and the facts."""
    from rich.progress import BarColumn, TextColumn

    return (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f} [dim]{task.fields[told]}[/]"),
    )


def bar_watch(bars: Bars, groups: int, message: Callable[[str], None], width: Callable[[], int]) -> Watch:
    """A watch that keeps one bar at where a training stands.

    Args:
      bars: made of `columns`.
      groups: compiled programs that are trained one after another.
      message: shows a notable event.
      width: signs in a line, now.
    """
    clock, task = Clock(groups), None

    def watch(progress: Progress) -> None:
        nonlocal task
        if clock.see(progress, time.monotonic()) or task is None:
            if task is not None:
                bars.remove_task(task)
            task = bars.add_task(clock.title(progress), total=progress.total, told="")
        if progress.message:
            message(progress.message)
        told = "" if progress.step == 0 else fitted(facts(progress, clock), width() - 45)
        bars.update(task, completed=progress.step, description=clock.title(progress), told=told)

    return watch


class Clock:
    """Time left, and which of several groups is being trained."""

    def __init__(self, groups: int):
        self.groups, self.group, self.stage = groups, 0, ""
        self.first: tuple[int, float] | None = None
        self.now: tuple[int, float] = (0, 0.0)

    def see(self, progress: Progress, now: float) -> bool:
        """Note where the training is; true when a group begins, or a layer of its pretraining."""
        begins = self.group == 0 or progress.step < self.now[0] or progress.stage != self.stage
        if begins:
            if self.group == 0 or not self.stage:  # the layers before a training are part of its group
                self.group += 1
            self.stage, self.first = progress.stage, None
        # The first step's time is compilation's, which says nothing of the others.
        elif self.first is None and progress.examples_per_second > 0:
            self.first = (progress.step, now)
        self.now = (progress.step, now)
        return begins

    def seconds_left(self, total: int) -> float | None:
        """By the mean speed since the first step, ``None`` before the second chunk."""
        if self.first is None or self.now[0] <= self.first[0]:
            return None
        return (total - self.now[0]) * (self.now[1] - self.first[1]) / (self.now[0] - self.first[0])

    def title(self, progress: Progress) -> str:
        """``"training 2/3"``, or what is done before the first step; of a pretraining its layer."""
        which = f" {self.group}/{self.groups}" if self.groups > 1 else ""
        doing = (
            "compiling" if self.first is None and progress.step < progress.total else self.stage or "training"
        )
        return doing + which


def facts(progress: Progress, clock: Clock) -> list[str]:
    """The latest losses, speed, members and the time left, each in words."""
    shown = ["loss", "validation loss", "validation exact_match", "validation accuracy"]
    if progress.stage:
        shown = ["reconstruction" if "reconstruction" in progress.metrics else "loss"]
    elif "validation accuracy" not in progress.metrics:
        shown.append("accuracy")
    found = [
        f"{n.replace('_', ' ')} {value_in_words(n, progress.metrics[n])}"
        for n in shown
        if n in progress.metrics
    ]
    if progress.examples_per_second:
        found.append(f"{progress.examples_per_second:,.0f} examples/s")
    if progress.members > 1 or progress.running < progress.members:
        found.append(f"{progress.running}/{progress.members} running")
    left = clock.seconds_left(progress.total)
    if left is not None and progress.step < progress.total:
        found.append(f"{duration_in_words(left)} left")
    return found


def fitted(told: list[str], width: int) -> str:
    """The facts in one line of a narrow terminal, the least needed left out first."""
    for less in ("examples/s", "validation loss", "running"):
        if len("  ".join(told)) > width:
            told = [fact for fact in told if less not in fact]
    return "  ".join(told)
