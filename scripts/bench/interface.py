"""What a variant is: the same two functions for every peer and for ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.bench.kinds import Case


class Variant(NamedTuple):
    """One library's way of training one case, in a process of its own.

    A module has ``setup(case, weights, data) -> Variant``, called once, before the library has done
    anything else in that process.

    Attributes:
      check: ``check(batches) -> losses`` takes one step from the initial weights on each ``(x, y)``
        in turn, and returns the loss of each before its update (with members, a row a step). It is
        called once, before any ``run``. Of a case without training: the probabilities of every example
        of the data, a row an example; there are no batches.
      run: ``run(seconds) -> (examples, elapsed)`` trains on, shuffling every epoch, until at least
        ``seconds`` have passed, and returns only when the last update is computed. Of a case without
        training it answers all the data, again and again.
    """

    check: Callable[[Sequence[tuple[np.ndarray, np.ndarray]]], Any]
    run: Callable[[float], tuple[int, float]]


def again_and_again(case: Case, answer: Callable[[], Any]) -> Callable[[float], tuple[int, float]]:
    """``Variant.run`` of a case without training: ``answer()`` gives the answers for all examples."""

    def run(seconds: float) -> tuple[int, float]:
        start, done = time.perf_counter(), 0
        while True:
            answer()
            done += case.examples
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return done, elapsed

    return run
