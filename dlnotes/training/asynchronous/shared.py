"""Workers that add their updates to one vector in shared memory without a lock (Hogwild).

Each reads the vector, computes an update from what it read and adds it in place, while others do the same.
An addition of one may overwrite a part of another's: that is the algorithm, and no fault of it. So two
trainings are never the same bit for bit, and where gradients are dense some of the progress of each is lost.

Source: Niu, Recht, Ré and Wright, 2011, Hogwild!
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from dlnotes.training.asynchronous.team import Look, Processes, begin
from dlnotes.training.asynchronous.work import Work, is_finite, measured


class Board(NamedTuple):
    """What workers share: plain numbers in memory, each counter written by one of them only."""

    vector: Any
    counts: Any
    stale: Any
    sums: Any
    flags: Any

    def views(self) -> Board:
        """The same memory as numpy arrays."""
        kinds = (np.float32, np.int64, np.int64, np.float64, np.int64)
        arrays = [np.frombuffer(a, kind) for a, kind in zip(self, kinds)]
        arrays[3] = arrays[3].reshape(len(self.counts), -1)
        return Board(*arrays)


STOP, REASON = 0, 1
"""Places in a board's flags."""


def live(
    work: Work, board: Board, lock: Any, worker: int, pipe: Connection, parent: int, core: int | None
) -> None:
    """The life of a worker: compile, then one round after another until it is told nothing more."""
    begin(parent, core)
    views = board.views()
    step = measured(work)
    step(views.vector.copy(), 0, 0)
    pipe.send("ready")
    while (told := pipe.recv()) is not None:
        _round(step, worker, views, guard=lock if told["locked"] else nullcontext(), **told)
        pipe.send("done")


def _round(
    step: Callable, worker: int, board: Board, *, guard: Any, numbers: tuple[int, int], total: int, **_: Any
) -> None:
    number, every = numbers
    vector, counts, flags = board.vector, board.counts, board.flags
    while (before := int(counts.sum())) < total and not flags[STOP]:
        change, metrics, reason = step(vector.copy(), before, number)
        if not is_finite(reason):
            flags[REASON], flags[STOP] = reason, 1
            return
        with guard:
            np.add(vector, change, out=vector)
            board.stale[worker] += int(counts.sum()) - before
            counts[worker] += 1
        board.sums[worker] += metrics
        number += every


class Shared(Processes):
    """Workers around one vector in shared memory; a `dlnotes.training.asynchronous.team.Team`.

    The memory is that of a file without a name: nothing is left behind, whoever is killed.

    Args:
      work: what is trained.
      workers: how many.
      parameters: numbers of the vector.
      metrics: numbers measured on a batch.
      pin: keep each worker to a processor of its own, where the platform can and there are enough.
    """

    def __init__(self, work: Work, workers: int, *, parameters: int, metrics: int, pin: bool = False):
        context = multiprocessing.get_context("spawn")
        shapes = (("f", parameters), ("q", workers), ("q", workers), ("d", workers * metrics), ("q", 2))
        board = Board(*(context.RawArray(kind, size) for kind, size in shapes))
        self._board = board.views()
        self._lock = context.Lock()  # which lives as long as this process knows it
        super().__init__(live, (work, board, self._lock), workers, pin=pin)

    def go(
        self,
        vector: np.ndarray,
        total: int,
        *,
        counts: np.ndarray | None = None,
        only: int | None = None,
        first: int = 0,
        locked: bool = False,
    ) -> None:
        """See `Team.go`.

        Args:
          vector, total, counts: of `Team.go`.
          only: the first so many workers.
          first: number of the first batch in the run's order.
          locked: add each update under a lock, to compare; a worker that is killed may then stop the others.
        """
        board = self._board
        board.vector[:] = vector
        board.counts[:] = 0 if counts is None else counts
        for zero in (board.stale, board.sums, board.flags):
            zero[...] = 0
        self._tell(board.counts, only, first, total=total, locked=locked)

    def updates(self) -> int:
        """Updates added so far; costs a microsecond."""
        return int(self._board.counts.sum())

    def look(self) -> Look:
        """See `Team.look`."""
        board = self._board
        # Counts first: what is counted has been added.
        counts, stale, sums = board.counts.copy(), board.stale.copy(), board.sums.sum(0)
        return Look(board.vector.copy(), counts, stale, sums, int(board.flags[REASON]))

    def stop(self) -> None:
        """See `Team.stop`."""
        self._board.flags[STOP] = 1
        self._wait()
