"""Batches of the steps to come, made in a thread while the device is busy with those before."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


def lower_priority(nice: int = 19) -> None:
    """This thread, and those that it starts, get less of the processors that they share with others.

    Only Linux has a priority of each thread.

    Args:
      nice: 19 lets others go first; 5 leaves this one about a quarter of a processor that is shared.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


class Ahead(Generic[T]):
    """Gives buffers of steps, of which the next is filled in a thread.

    Steps are asked for one chunk after another. A chunk that begins elsewhere, or has more steps than the one
    before, is filled when it is asked for.

    Args:
      new: makes an empty buffer.
      fill: ``fill(buffer, first, low, high)`` writes steps ``first + low`` to ``first + high`` into places
        ``low`` to ``high`` of a buffer.
      yields: whether the device's work comes before the filling, where both share the processors. A step in
        parallel waits for the last of its threads, so that each interruption of one costs all of them.

    Example:
      >>> ahead = Ahead(lambda: [0] * 3, lambda b, first, low, high: [
      ...     b.__setitem__(i, first + i) for i in range(low, high)])
      >>> ahead.take(0, 2)[:2], ahead.take(2, 3)
      ([0, 1], [2, 3, 4])
    """

    def __init__(
        self, new: Callable[[], T], fill: Callable[[T, int, int, int], object], *, yields: bool = False
    ):
        self._new, self._fill = new, fill
        begin = lower_priority if yields else None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches", initializer=begin)
        self._next: tuple[int, int, Future[T]] | None = None

    def _made(self, first: int, count: int) -> T:
        buffer = self._new()
        self._fill(buffer, first, 0, count)
        return buffer

    def close(self) -> None:
        """Wait for what is being filled; nothing is asked for any more."""
        self._next = None
        self._pool.shutdown(cancel_futures=True)

    def take(self, first: int, count: int, *, more: bool = True) -> T:
        """A buffer whose first ``count`` places hold the steps from ``first`` on; others may hold anything.

        Args:
          first, count: the steps.
          more: whether steps will be asked for after these.

        Raises:
          Exception: what ``fill`` raised for these steps.
        """
        if self._next is not None and self._next[0] == first:
            _, filled, future = self._next
            buffer = future.result()
            if filled < count:
                self._fill(buffer, first, filled, count)
        else:
            buffer = self._made(first, count)
        self._next = None
        if more:
            self._next = (first + count, count, self._pool.submit(self._made, first + count, count))
        return buffer
