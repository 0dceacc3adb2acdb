"""Standardizing some rows of an array at a time: no copy of the whole is made.

To the same bits as `dlnotes.data.standardize` does it to an array in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from dlnotes.data.dataset import Standardize
from dlnotes.devices.prepare import cpu_count

T = TypeVar("T")

_ALIGNMENT = 64  # bytes, of the arrays of XLA on CPUs
_MANY = 16  # chunks, from which on threads are worth their start
_ROWS = 4096  # of examples looked at together, as in `dlnotes.data.standardize`


def fit(raw: Any, rows: np.ndarray) -> Standardize:
    """Mean and standard deviation of some rows, over everything but the last axis.

    As `dlnotes.data.standardize.fit` of ``raw[rows]``.

    Args:
      raw: ``(n, ..., features)`` floats, indexed by rows.
      rows: numbers of those of the training part.
    """
    width = raw.shape[-1]

    def chunk(start: int) -> np.ndarray:
        return np.asarray(raw[rows[start : start + _ROWS]]).reshape(-1, width)

    def sums(start: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        values = chunk(start)
        return len(values), values.sum(axis=0, dtype=np.float64), values.min(axis=0), values.max(axis=0)

    count, total, low, high = 0, np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf)
    for found in in_order(sums, range(0, len(rows), _ROWS)):
        count, total = count + found[0], total + found[1]
        low, high = np.minimum(low, found[2]), np.maximum(high, found[3])
    mean = np.where(low == high, low, total / count)

    def deviations(start: int) -> np.ndarray:
        return np.square(chunk(start).astype(np.float64) - mean).sum(axis=0)

    squares = np.zeros(width)
    for found in in_order(deviations, range(0, len(rows), _ROWS)):
        squares = squares + found
    scale = np.sqrt(squares / count)
    scale = np.where((low == high) | (scale <= 1e-7 * np.abs(mean)), 1.0, scale)
    return Standardize(mean=mean.astype(raw.dtype), scale=scale.astype(raw.dtype))


def apply(standardize: Standardize | None, raw: Any, rows: np.ndarray) -> np.ndarray:
    """Some rows, standardized, as float32.

    Args:
      standardize: from `fit`, or ``None`` to leave the values as they are.
      raw: ``(n, ..., features)``, indexed by rows.
      rows: numbers of the rows wanted, in their order.
    """
    x = aligned((len(rows), *raw.shape[1:]))

    def fill(start: int) -> None:
        values = np.asarray(raw[rows[start : start + _ROWS]])
        x[start : start + _ROWS] = values if standardize is None else standardize(values)

    for _ in in_order(fill, range(0, len(rows), _ROWS)):
        pass
    return x


def in_order(function: Callable[[int], T], starts: range) -> Iterator[T]:
    """A function of each start, the results in their order; of many several at once.

    numpy's loops let other threads of Python go on.
    """
    threads = min(cpu_count(), 8)
    if len(starts) < _MANY or threads == 1:
        yield from map(function, starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, starts)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialized float32 array that begins where a CPU device can use it without a copy."""
    size = 4 * math.prod(shape)
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(np.float32).reshape(shape)
