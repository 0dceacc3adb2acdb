"""What a variant is given and what it is: the same for every peer and for ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.bench.spec import Case

Weights = list[tuple[np.ndarray, np.ndarray]]
"""``(W, b)`` of each of the network's ``layers``."""


class Data(NamedTuple):
    """What a variant trains on.

    Attributes:
      x: ``(examples, ...)`` float32, images are NHWC; ``examples`` is a multiple of the batch. Of a
        `Seq2Seq` int32 symbols, the source, then the target, which ``y`` has again. Of a `TreeLstm` the
        nodes, see `scripts.bench.trees.forest`.
      y: ``(examples,)`` int32 labels.
      check_x, check_y: the fixed first batches, ``(CHECK_STEPS, batch, ...)``, and with members
        ``(CHECK_STEPS, members, batch, ...)``; none without training.
      sizes: ``(examples, axes)`` int32: each example lies at the beginning of its row of ``x``, and is as
        large as this; no rows where every example fills its own.
    """

    x: np.ndarray
    y: np.ndarray
    check_x: np.ndarray
    check_y: np.ndarray
    sizes: np.ndarray = np.zeros((0, 0), np.int32)

    @property
    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The fixed first batches, one pair a step."""
        return list(zip(self.check_x, self.check_y))


class Variant(NamedTuple):
    """One library's way of training one case, in a process of its own.

    Attributes:
      check: ``check(batches) -> losses`` takes one step from the initial weights on each ``(x, y)``
        in turn, and returns the loss of each before its update (with members, a row a step). It is
        called once, before any ``run``. Of a case without training: the probabilities of every example
        of the data, a row an example, or what was written; there are no batches.
      run: ``run(seconds) -> (examples, elapsed)`` trains on, shuffling every epoch, until at least
        ``seconds`` have passed, and returns only when the last update is computed. Of a case without
        training it answers all the data, again and again.
    """

    check: Callable[[Sequence[tuple[np.ndarray, np.ndarray]]], Any]
    run: Callable[[float], tuple[int, float]]


Setup = Callable[[Case, Weights, Data], Variant]
"""Called once, before the library has done anything else in that process."""


def repeated(once: Callable[[], Any], examples: int) -> Callable[[float], tuple[int, float]]:
    """``Variant.run`` of what takes ``examples`` at every call, and has them computed when it returns."""

    def run(seconds: float) -> tuple[int, float]:
        start, done = time.perf_counter(), 0
        while True:
            once()
            done += examples
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return done, elapsed

    return run
