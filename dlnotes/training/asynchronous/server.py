"""A parameter server: one process holds the vector, workers fetch it and send their updates (Downpour).

The server adds one update after another, so that none is lost; what it gives is old by as many updates as
others have sent meanwhile. Here server and workers are processes of this machine; for many machines there is
an engine (`dlnotes.training.asynchronous.on_ray`).

Source: Dean et al., 2012, Large scale distributed deep networks
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.managers import BaseManager
from typing import Any

import numpy as np

from dlnotes.training.asynchronous.team import RESUMABLE, Look, Lost, Processes, begin
from dlnotes.training.asynchronous.work import Work, is_finite, measured

Given = tuple[int, np.ndarray]
"""The number of updates, and the parameters after them."""


class ParameterServer:
    """The parameters of a training, and what was done to them.

    Args:
      workers: that will send updates.
      metrics: numbers measured on a batch.

    Example:
      >>> server = ParameterServer(workers=1, metrics=1)
      >>> server.begin(np.zeros(2, np.float32), 2, np.zeros(1, np.int64))
      >>> version, vector = server.pull()
      >>> server.push(0, version, np.ones(2, np.float32), np.zeros(1), 0)
      (1, array([1., 1.], dtype=float32))
    """

    def __init__(self, workers: int, metrics: int):
        self._lock = threading.Lock()
        self._metrics, self._total = metrics, 0
        self._look = _nothing(np.zeros(0, np.float32), np.zeros(workers, np.int64), metrics)

    def begin(self, vector: np.ndarray, total: int, counts: np.ndarray) -> None:
        """See `dlnotes.training.asynchronous.team.Team.go`."""
        with self._lock:
            self._total = total
            self._look = _nothing(vector, counts, self._metrics)

    def pull(self) -> Given | None:
        """The parameters, ``None`` when the round has ended."""
        with self._lock:
            return self._given()

    def push(
        self, worker: int, version: int, change: np.ndarray, metrics: np.ndarray, reason: int
    ) -> Given | None:
        """Add an update; the parameters after it, as `pull` gives them.

        Args:
          worker: who sends it.
          version: number of updates of the parameters that it was computed from.
          change: ``(parameters,)``.
          metrics: measured on its batch.
          reason: 0, or why it is not to be added.

        Raises:
          ValueError: when the update has another length, or comes from a version that never was.
        """
        with self._lock:
            now = self._look
            if np.shape(change) != now.vector.shape:
                raise ValueError(
                    f"change: worker {worker} sent {np.shape(change)} numbers, the parameters are "
                    f"{now.vector.shape}"
                )
            if not 0 <= version <= now.updates:
                raise ValueError(f"version: got {version}, allowed is 0 to {now.updates}")
            if not is_finite(reason):
                self._look, self._total = now._replace(reason=reason), 0
                return None
            now.stale[worker] += now.updates - version
            now.counts[worker] += 1
            np.add(now.vector, change, out=now.vector)
            now.sums[:] += metrics
            return self._given()

    def look(self) -> Look:
        """Where the round stands."""
        with self._lock:
            vector, counts, stale, sums, reason = self._look
            return Look(vector.copy(), counts.copy(), stale.copy(), sums.copy(), reason)

    def stop(self) -> None:
        """End the round."""
        with self._lock:
            self._total = 0

    def _given(self) -> Given | None:
        now = self._look
        return None if now.updates >= self._total else (now.updates, now.vector.copy())


def _nothing(vector: np.ndarray, counts: np.ndarray, metrics: int) -> Look:
    """Before the first update of a round."""
    counts = np.array(counts, np.int64)
    return Look(np.array(vector, np.float32), counts, np.zeros_like(counts), np.zeros(metrics))


def take_part(
    step: Callable,
    pull: Callable[[], Given | None],
    push: Callable[..., Given | None],
    worker: int,
    numbers: tuple[int, int],
) -> None:
    """A worker's round: an update from what it was given, sent for what comes next.

    Args:
      step: of `dlnotes.training.asynchronous.work.measured`.
      pull, push: of a `ParameterServer`, wherever it is.
      worker: its number.
      numbers: of its first batch, and from one to the next.
    """
    given, (number, every) = pull(), numbers
    while given is not None:
        version, vector = given
        change, metrics, reason = step(vector, version, number)
        given = push(worker, version, change, metrics, reason)
        number += every


class _Manager(BaseManager):
    """Serves one `ParameterServer` to the processes of this machine."""


_Manager.register("server", ParameterServer)


def live(work: Work, parameters: int, worker: int, pipe: Connection, parent: int, core: int | None) -> None:
    """The life of a worker; it ends with status 75 when the server has."""
    begin(parent, core)
    step = measured(work)
    step(np.zeros(parameters, np.float32), 0, 0)
    pipe.send("ready")
    try:
        while (told := pipe.recv()) is not None:
            take_part(step, told["server"].pull, told["server"].push, worker, told["numbers"])
            pipe.send("done")
    except (EOFError, OSError):
        sys.exit(RESUMABLE)


class Served(Processes):
    """A parameter server and workers, processes of this machine; a `dlnotes.training.asynchronous.team.Team`.

    Args:
      work: what is trained.
      workers: how many.
      parameters: numbers of the vector.
      metrics: numbers measured on a batch.
      pin: keep each worker to a processor of its own, where the platform can and there are enough.
    """

    def __init__(self, work: Work, workers: int, *, parameters: int, metrics: int, pin: bool = False):
        self._manager = _Manager(ctx=multiprocessing.get_context("spawn"))
        self._manager.start(begin, (os.getpid(),))
        self._server: Any = self._manager.server(workers, metrics)  # pyright: ignore[reportAttributeAccessIssue]
        self._workers = workers
        super().__init__(live, (work, parameters), workers, pin=pin)

    @property
    def server_process(self) -> int:
        """Its number, for whoever wants to see what happens without it."""
        return self._manager._process.pid  # type: ignore[attr-defined]

    def go(
        self,
        vector: np.ndarray,
        total: int,
        *,
        counts: np.ndarray | None = None,
        only: int | None = None,
        first: int = 0,
    ) -> None:
        """See `Team.go`.

        Args:
          vector, total, counts: of `Team.go`.
          only: the first so many workers.
          first: number of the first batch in the run's order.
        """
        counts = np.zeros(self._workers, np.int64) if counts is None else counts
        self._ask("begin", vector, total, counts)
        self._tell(counts, only, first, server=self._server)

    def look(self) -> Look:
        """See `Team.look`."""
        return self._ask("look")

    def stop(self) -> None:
        """See `Team.stop`."""
        self._ask("stop")
        self._wait()

    def close(self) -> None:
        """End the processes, the server last."""
        super().close()
        self._manager.shutdown()

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._server, name)(*arguments)
        except (EOFError, OSError):
            raise Lost("the parameter server has ended") from None
