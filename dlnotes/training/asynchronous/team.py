"""Worker processes on this machine: started, told to begin a round, watched and ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Protocol

import numpy as np

from dlnotes.devices.prepare import cpu_count

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
"""A worker's programs use its own processor; otherwise two workers fight for each other's."""

RESUMABLE = 75
"""Status of a process that ended because another did."""


class Look(NamedTuple):
    """Where a training stands, seen from outside.

    Attributes:
      vector: a copy of the parameters.
      counts: ``(workers,)`` updates that each has added, those before this round included.
      stale: ``(workers,)`` updates that others added between a worker's reading and adding, summed over
        this round.
      sums: ``(metrics,)`` of what was measured on each batch of this round.
      reason: 0, or why a worker met a number that is not finite.
    """

    vector: np.ndarray
    counts: np.ndarray
    stale: np.ndarray
    sums: np.ndarray
    reason: int = 0

    @property
    def updates(self) -> int:
        """Of all workers together."""
        return int(self.counts.sum())


class Lost(Exception):
    """The parameters are out of reach: their server has ended."""


class Team(Protocol):
    """Workers around one vector of parameters."""

    def __enter__(self) -> Team: ...

    def __exit__(self, *error: Any) -> None: ...

    def go(self, vector: np.ndarray, total: int, *, counts: np.ndarray | None = None) -> None:
        """Start a round.

        Args:
          vector: the parameters that it begins with.
          total: updates of all workers after which it ends, those in ``counts`` included.
          counts: ``(workers,)`` updates that each has added before; none by default.

        Raises:
          Lost: when the parameters are out of reach.
        """
        ...

    def look(self) -> Look:
        """Where the round stands.

        Raises:
          Lost: when the parameters are out of reach.
        """
        ...

    def running(self, seconds: float = 0.0) -> bool:
        """Whether a worker is in its round, after waiting up to some seconds for one to end."""
        ...

    def stop(self) -> None:
        """End the round: every worker adds what it computes, and waits."""
        ...

    @property
    def gone(self) -> int:
        """Workers that have ended before they were told to."""
        ...


class Processes:
    """Worker processes of this machine, as a context; a `Team` with what its kinds add.

    Args:
      target: the life of a worker: ``target(*arguments, worker, pipe, parent, core)``. It answers "ready",
        then each message but ``None`` with another one, and ends at ``None``.
      arguments: that can be sent.
      workers: how many.
      pin: keep each to a processor of its own, where the platform can and there are enough.
    """

    def __init__(self, target: Callable, arguments: tuple[Any, ...], workers: int, *, pin: bool = False):
        context = multiprocessing.get_context("spawn")  # jax's threads do not survive a fork
        cores: list[int | None] = [None] * workers
        if pin and hasattr(os, "sched_getaffinity") and cpu_count() >= workers:
            cores[:] = sorted(os.sched_getaffinity(0))[:workers]
        self._pipes: list[Connection] = []
        self.processes = []
        self._busy, self._gone = set(range(workers)), set[int]()
        with one_thread_each():
            for worker in range(workers):
                ours, theirs = context.Pipe()
                own = (*arguments, worker, theirs, os.getpid(), cores[worker])
                process = context.Process(target=target, args=own, daemon=True)
                process.start()
                theirs.close()
                self._pipes.append(ours)
                self.processes.append(process)

    def __enter__(self):
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

    @property
    def gone(self) -> int:
        """See `Team.gone`."""
        return len(self._gone)

    def running(self, seconds: float = 0.0) -> bool:
        """See `Team.running`."""
        if self._busy:
            self._hear(seconds)
        return bool(self._busy)

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

    def _tell(self, counts: np.ndarray, only: int | None, first: int, **more: Any) -> None:
        """Send all workers that are there, or the first so many, into a round from a batch on."""
        asked = len(self.processes) if only is None else only
        team = [w for w in range(asked) if w not in self._gone]
        for place, worker in enumerate(team):
            numbers = (first + int(counts[worker]) * len(team) + place, len(team))
            with suppress(OSError):  # of one that has ended meanwhile, which its pipe tells
                self._pipes[worker].send({"numbers": numbers} | more)
            self._busy.add(worker)

    def _wait(self) -> None:
        while self._busy:
            self._hear(0.1)

    def _hear(self, seconds: float) -> None:
        waiting: dict[Any, int] = {self._pipes[w]: w for w in self._busy}
        for pipe in wait([*waiting], seconds):
            worker = waiting[pipe]
            self._busy.discard(worker)
            try:
                self._pipes[worker].recv()
            except (EOFError, OSError):
                self.processes[worker].join()
                self._gone.add(worker)


def begin(parent: int, core: int | None = None) -> None:
    """What a process does first: leave signals to its parent, end with it, and keep to a processor."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(RESUMABLE)

    threading.Thread(target=watch, daemon=True).start()
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, processes are started whose jax has one CPU device with one thread."""
    flags = [f for f in os.environ.get("XLA_FLAGS", "").split() if "host_platform_device_count" not in f]
    wanted = {"XLA_FLAGS": " ".join([*flags, ONE_THREAD]), "JAX_PLATFORMS": "cpu", "NPROC": "1"}
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
