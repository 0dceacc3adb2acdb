"""Checkpoints of a large state are written in a thread while the training goes on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any

import jax
import numpy as np

from dlnotes.training.ahead import lower_priority
from dlnotes.training.checkpoints import Checkpoints
from dlnotes.training.loader import size_of

LARGE = 2**25
"""Bytes of a state from which on the training does not wait for its checkpoint."""


class Saver:
    """Saves states one after another: a small one at once, a large one from a copy, in a thread.

    The thread yields to the training where both share the processors. The copy's memory is kept for the next
    one: new pages of memory cost more than the copying. As a context it waits for the last one before it is
    left.

    Args:
      store: where they go; ``None`` saves nothing.
    """

    def __init__(self, store: Checkpoints | None):
        self._store = store
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix="checkpoint", initializer=partial(lower_priority, 5)
        )
        self._running: Future[None] | None = None
        self._copy: Any = None

    def save(self, step: int, state: Any, extra: dict[str, Any]) -> None:
        """`Checkpoints.save` of a host state, after the one before has been written.

        Raises:
          OSError: of this one, or of the one before.
        """
        if self._store is None:
            return
        self.wait()
        if size_of(state) < LARGE:
            self._store.save(step, state, extra)
            return
        # A host state can share the memory of a device's, which the next step writes to.
        self._copy = _copied(state, self._copy)
        self._running = self._pool.submit(self._store.save, step, self._copy, extra)

    def save_part(self, step: int, held: dict[str, np.ndarray], extra: dict[str, Any]) -> None:
        """`Checkpoints.save_part` of this process, in a thread, after the one before has been written.

        Raises:
          OSError: of the one before.
        """
        if self._store is None:
            return
        self.wait()
        write = partial(self._store.save_part, process=jax.process_index(), processes=jax.process_count())
        self._running = self._pool.submit(write, step, held, extra)

    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._running is not None and not self._running.done()

    def check(self) -> None:
        """Raise what went wrong with a checkpoint that is not being written any more."""
        if self._running is not None and self._running.done():
            self.wait()

    def wait(self) -> None:
        """Until nothing is being written.

        Raises:
          OSError: what went wrong.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception:
            if error is None:  # else that is what the caller hears of
                raise
        finally:
            self._pool.shutdown()


def _copied(state: Any, into: Any) -> Any:
    """A copy of a host state, in the memory of one before of the same shapes if there is one."""
    if into is None:
        return jax.tree.map(np.array, state)
    jax.tree.map(np.copyto, into, state)
    return into
