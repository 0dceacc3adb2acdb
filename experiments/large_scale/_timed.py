"""Times of several programs, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


def in_turns(calls: Sequence[Callable[[], Any]], rounds: int, *, runs: int | Sequence[int] = 1) -> np.ndarray:
    """Seconds of each call in each round ``(calls, rounds)``, each round in another order.

    What else the machine does in a round meets all of them, so that the ratios of a round are fair.

    Args:
      calls: each gives arrays, which are waited for.
      rounds: how many; one more before them is not counted: it compiles.
      runs: how often each is called in a round, one after another.
    """
    many = [runs] * len(calls) if isinstance(runs, int) else list(runs)
    seconds = np.zeros((len(calls), rounds))
    for repetition in range(-1, rounds):
        for k in range(len(calls)):
            i = (k + repetition) % len(calls)
            start, found = time.perf_counter(), None
            for _ in range(many[i]):
                found = calls[i]()
            jax.block_until_ready(found)
            if repetition >= 0:
                seconds[i, repetition] = (time.perf_counter() - start) / many[i]
    return seconds
