"""Batches made in processes of their own, by grain."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from dlnotes.data.steps import Rows, Steps, put

_GUARD = 'a script that uses them must have `if __name__ == "__main__":` before what it does'
_PATIENCE = 10.0
"""Seconds after which processes that have failed are not waited for any more."""


def missing() -> str | None:
    """What they need and have not, in words; ``None`` where they have all."""
    if not find_spec("grain"):
        return "needs the extra: python -m pip install 'dlnotes[grain]'"
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # Such a process, which is starting, runs the script that asked for it anew.
        return _GUARD
    return None


class WorkersFailed(RuntimeError):
    """The processes that make batches have ended."""


class Workers:
    """Fills buffers as `Steps.fill` does, with batches that processes have made meanwhile.

    They make one step after another from the first that is asked for. Where the training goes on elsewhere
    they are started anew.

    Args:
      steps: of the training.
      count: of processes.
    """

    def __init__(self, steps: Steps, count: int):
        self._steps, self._count = steps, count
        self._made: deque[tuple[int, Rows]] = deque()  # asked for once, and perhaps again
        self._next, self._iterator = -1, None

    def fill(self, into: Rows, first: int, low: int, high: int) -> None:
        """See `Steps.fill`.

        Raises:
          Exception: what reading an example raised.
          WorkersFailed: when the processes end by themselves.
        """
        while self._made and self._made[0][0] < first:
            self._made.popleft()
        for place in range(low, high):
            for buffer, values in zip(into, self._at(first + place)):
                put(buffer, np.s_[:, place], values)

    def _at(self, step: int) -> Rows:
        for number, rows in self._made:
            if number == step:
                return rows
        if self._next != step:
            self.close()
            self._iterator, self._next = self._started(step), step
        rows = _answer(self._iterator)
        self._made.append((step, rows))
        self._next += 1
        return rows

    def _started(self, step: int) -> Any:
        import grain
        from absl import flags

        if not flags.FLAGS.is_parsed():  # which grain reads, and only an absl program has parsed
            flags.FLAGS.mark_as_parsed()
        source = grain.MapDataset.source(self._steps)[step:]  # pyright: ignore[reportArgumentType]
        one_after_another = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
        return iter(
            source.to_iter_dataset(one_after_another).mp_prefetch(
                grain.MultiprocessingOptions(num_workers=self._count, per_worker_buffer_size=2),
                worker_init_fn=_as_long_as(os.getpid()),
            )
        )

    def close(self) -> None:
        """End the processes."""
        iterator, self._iterator, self._next = self._iterator, None, -1
        self._made.clear()
        if iterator is not None:
            iterator.close()


def _answer(iterator: Any) -> Rows:
    """The next rows. The processes are looked at meanwhile: grain can wait for one that has failed."""
    answers: SimpleQueue[tuple[Rows | None, BaseException | None]] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put((next(iterator), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=ask, daemon=True, name="batches").start()
    known: set[Any] = set()
    failed = 0.0
    while True:
        try:
            rows, error = answers.get(timeout=1.0)
            break
        except Empty:
            known |= set(multiprocessing.active_children())
            codes = sorted({p.exitcode for p in known} - {None, 0})
            failed = failed or (time.monotonic() if codes else 0.0)
            if failed and time.monotonic() - failed > _PATIENCE:
                raise _failed(f"exit codes {codes}") from None
    if error is not None and "terminated unexpectedly" in str(error):
        raise _failed(str(error).partition(".")[0]) from error
    if error is not None:
        raise error
    assert rows is not None
    return rows


def _failed(why: str) -> WorkersFailed:
    return WorkersFailed(f"devices.workers: the processes that make batches have ended ({why}); {_GUARD}")


def _as_long_as(parent: int) -> Any:
    """What a worker does first: it ends when its parent has, and leaves Ctrl-C to it."""

    def begin(index: int, count: int) -> None:
        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os._exit(0)

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        threading.Thread(target=watch, daemon=True).start()

    return begin
