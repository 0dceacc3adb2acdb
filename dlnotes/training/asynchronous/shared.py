"""Workers that add their updates to one vector in shared memory without a lock (Hogwild).

Each reads the vector, computes an update from what it read and adds it in place, while others do the same.
An addition of one may overwrite a part of another's: that is the algorithm, and no fault of it. So two
trainings are never the same bit for bit, and where gradients are dense some of the progress of each is lost.

Source: Niu, Recht, Ré and Wright, 2011, Hogwild!
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from dlnotes.devices.prepare import cpu_count
from dlnotes.training.asynchronous.work import Work, is_finite, measured

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
"""A worker's programs use its own processor; otherwise two workers fight for each other's."""


class Look(NamedTuple):
    """Where a training stands, seen from outside.

    Attributes:
      vector: a copy of the parameters.
      counts: ``(workers,)`` updates that each has added, of all rounds.
      stale: ``(workers,)`` updates that others added between a worker's reading and adding, summed.
      sums: ``(metrics,)`` of what was measured on each batch, over all updates.
      alive: workers that are there.
      reason: 0, or why a worker met a number that is not finite.
    """

    vector: np.ndarray
    counts: np.ndarray
    stale: np.ndarray
    sums: np.ndarray
    alive: int
    reason: int = 0

    @property
    def updates(self) -> int:
        """Of all workers together."""
        return int(self.counts.sum())

    @property
    def staleness(self) -> float:
        """Updates of others between reading and adding, on average; 0 before the first update."""
        return float(self.stale.sum() / max(1, self.counts.sum()))


class Round(NamedTuple):
    """What a worker is told to do.

    Attributes:
      total: updates of all workers after which they stop.
      numbers: ``(first, step)``: its batches are ``first``, ``first + step`` … of the run's order.
      locked: add under the lock.
    """

    total: int
    numbers: tuple[int, int]
    locked: bool


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
        counts = len(self.counts)
        arrays = [np.frombuffer(a, kind) for a, kind in zip(self, kinds)]
        arrays[3] = arrays[3].reshape(counts, -1)
        return Board(*arrays)


STOP, REASON = 0, 1
"""Places in a board's flags."""


def work_on(
    work: Work, worker: int, board: Board, lock: Any, pipe: Connection, parent: int, core: int | None
) -> None:
    """The life of a worker: compile, then one round after another until it is told nothing more."""
    begin(parent, core)
    views = board.views()
    step = measured(work)
    step(views.vector.copy(), 0, 0)
    pipe.send("ready")
    while (told := pipe.recv()) is not None:
        _one_round(told, step, worker, views, lock)
        pipe.send("done")


def _one_round(told: Round, step: Callable, worker: int, board: Board, lock: Any) -> None:
    guard = lock if told.locked else nullcontext()
    number, every = told.numbers
    vector, counts, flags = board.vector, board.counts, board.flags
    while (before := int(counts.sum())) < told.total and not flags[STOP]:
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


def begin(parent: int, core: int | None) -> None:
    """What a worker does first: leave signals to the parent, end with it, and keep to a processor."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, processes are started whose jax has one CPU device with one thread."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}".strip()
    flags = " ".join(f for f in flags.split() if "host_platform_device_count" not in f)
    wanted = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "NPROC": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Shared:
    """Worker processes on this machine around one vector in shared memory, as a context.

    The memory is that of a file without a name: nothing is left behind, whoever is killed.

    Args:
      work: what is trained.
      workers: how many.
      parameters: numbers of the vector.
      metrics: numbers measured on a batch.
      pin: keep each worker to a processor of its own, where the platform can and there are enough.

    Raises:
      RuntimeError: when a worker ends before it is ready.
    """

    def __init__(self, work: Work, workers: int, *, parameters: int, metrics: int, pin: bool = False):
        context = multiprocessing.get_context("spawn")  # jax's threads do not survive a fork
        shapes = (("f", parameters), ("q", workers), ("q", workers), ("d", workers * metrics), ("q", 2))
        board = Board(*(context.RawArray(kind, size) for kind, size in shapes))
        self._board, self._lock = board.views(), context.Lock()
        cores: list[int | None] = [None] * workers
        if pin and hasattr(os, "sched_getaffinity") and cpu_count() >= workers:
            cores = [*sorted(os.sched_getaffinity(0))][:workers]
        self._pipes: list[Connection] = []
        self.processes = []
        with one_thread_each():
            for worker in range(workers):
                ours, theirs = context.Pipe()
                arguments = (work, worker, board, self._lock, theirs, os.getpid(), cores[worker])
                process = context.Process(target=work_on, args=arguments, daemon=True)
                process.start()
                theirs.close()
                self._pipes.append(ours)
                self.processes.append(process)
        self._busy = set(range(workers))
        self._gone: set[int] = set()

    def __enter__(self) -> Shared:
        try:
            while self._busy:
                self._hear(0.1)
            if self._gone:
                codes = ", ".join(str(self.processes[w].exitcode) for w in sorted(self._gone))
                raise RuntimeError(f"{len(self._gone)} workers ended before they were ready (status {codes})")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def go(
        self,
        vector: np.ndarray,
        total: int,
        *,
        counts: np.ndarray | None = None,
        only: int | None = None,
        locked: bool = False,
    ) -> None:
        """Start a round.

        Args:
          vector: of the parameters it begins with.
          total: updates of all workers after which it ends, those in ``counts`` included.
          counts: ``(workers,)`` updates that each has added before; none by default.
          only: so many of the workers.
          locked: add each update under a lock.
        """
        board, workers = self._board, len(self.processes)
        board.vector[:] = vector
        board.counts[:] = 0 if counts is None else counts
        for zero in (board.stale, board.sums, board.flags):
            zero[...] = 0
        team = [w for w in range(workers if only is None else only) if w not in self._gone]
        for place, worker in enumerate(team):
            done = int(board.counts[worker])
            self._pipes[worker].send(Round(total, (done * len(team) + place, len(team)), locked))
            self._busy.add(worker)

    def look(self, vector: bool = True) -> Look:
        """Where the round stands; without its ``vector`` (which is then empty) in a microsecond."""
        board = self._board
        return Look(
            vector=board.vector.copy() if vector else board.vector[:0],
            counts=board.counts.copy(),
            stale=board.stale.copy(),
            sums=board.sums.sum(0),
            alive=len(self.processes) - len(self._gone),
            reason=int(board.flags[REASON]),
        )

    def running(self, seconds: float = 0.0) -> bool:
        """Whether a worker is in its round, after waiting up to some seconds for it to end."""
        self._hear(seconds)
        return bool(self._busy)

    def stop(self) -> None:
        """End the round: every worker adds what it computes and waits."""
        self._board.flags[STOP] = 1
        while self._busy:
            self._hear(0.1)

    def close(self) -> None:
        """End the processes."""
        for worker, pipe in enumerate(self._pipes):
            if worker not in self._gone and worker not in self._busy:
                pipe.send(None)
        for worker, process in enumerate(self.processes):
            if worker in self._busy:
                process.kill()
            process.join()
            self._pipes[worker].close()
        self._busy.clear()

    def _hear(self, seconds: float) -> None:
        waiting = {self._pipes[w]: w for w in self._busy}
        for pipe in multiprocessing.connection.wait([*waiting], seconds):
            worker = waiting[pipe]  # pyright: ignore[reportArgumentType]
            self._busy.discard(worker)
            try:
                self._pipes[worker].recv()
            except (EOFError, OSError):
                self.processes[worker].join()
                self._gone.add(worker)
