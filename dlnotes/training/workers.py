"""Batches made in processes of their own, by grain."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from importlib.util import find_spec
from typing import Any

import numpy as np

from dlnotes.data.steps import Rows, Steps, put


def missing() -> str | None:
    """What must be installed for them; ``None`` where it is."""
    return None if find_spec("grain") else "python -m pip install 'dlnotes[grain]'"


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
        rows = next(self._iterator)  # type: ignore[arg-type]
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


def _as_long_as(parent: int) -> Any:
    """What a worker does first: it ends when its parent has, and leaves Ctrl-C to it."""

    def begin(index: int, count: int) -> None:
        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os._exit(0)

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=watch, daemon=True).start()

    return begin
