"""Standardizing inputs and regression targets with statistics of the training part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from dlnotes.data.dataset import Standardize
from dlnotes.devices.prepare import cpu_count

T = TypeVar("T")

_ALIGNMENT = 64  # bytes, of the arrays of XLA on CPUs
_MANY = 16  # chunks, from which on threads are worth their start
_ROWS = 4096  # of examples looked at together, so that no float64 copy of a whole image set is made


def fit(raw: np.ndarray, *, rows: np.ndarray | None = None, mask: np.ndarray | None = None) -> Standardize:
    """Mean and standard deviation over everything but the last axis.

    ``mean_j = E[x_j]``, ``scale_j = sqrt(E[(x_j − mean_j)²])``, for each feature of a vector or a
    sequence and for each channel of an image. A column that is constant (to float32's resolution)
    gets scale 1, so that it becomes 0 and not noise.

    Args:
      raw: ``(n, ..., features)`` floats.
      rows: numbers of those to look at, the training part; by default all.
      mask: ``(n, time)`` booleans; positions that are False are left out.

    Returns:
      `Standardize` with ``(features,)`` arrays of the dtype of ``raw``.

    Raises:
      ValueError: when there is nothing to average.
    """
    width = raw.shape[-1]
    n = len(raw) if rows is None else len(rows)

    def chunk(start: int) -> np.ndarray:
        some = np.s_[start : start + _ROWS] if rows is None else rows[start : start + _ROWS]
        values = np.asarray(raw[some])
        return (values if mask is None else values[mask[some]]).reshape(-1, width)

    def sums(start: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        values = chunk(start)
        if not len(values):
            return 0, np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf)
        return len(values), values.sum(axis=0, dtype=np.float64), values.min(axis=0), values.max(axis=0)

    count, total, low, high = 0, np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf)
    for found in in_order(sums, range(0, n, _ROWS)):
        count, total = count + found[0], total + found[1]
        low, high = np.minimum(low, found[2]), np.maximum(high, found[3])
    if count == 0:
        raise ValueError(f"raw: got shape {raw.shape} with no position to average over")
    mean = np.where(low == high, low, total / count)

    def deviations(start: int) -> np.ndarray:
        return np.square(chunk(start).astype(np.float64) - mean).sum(axis=0)

    squares = np.zeros(width)
    for found in in_order(deviations, range(0, n, _ROWS)):
        squares = squares + found
    scale = np.sqrt(squares / count)
    scale = np.where((low == high) | (scale <= 1e-7 * np.abs(mean)), 1.0, scale)
    return Standardize(mean=mean.astype(raw.dtype), scale=scale.astype(raw.dtype))


def apply(
    standardize: Standardize | None,
    raw: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """``standardize(raw)`` as float32, with 0 at positions that the mask leaves out.

    Args:
      standardize: from `fit`, or ``None`` to leave the values as they are.
      raw: ``(n, ..., features)``.
      mask: ``(n, time)`` booleans, or ``None``.
      rows: numbers of the rows wanted, in their order; by default all.
    """
    n = len(raw) if rows is None else len(rows)
    x = aligned((n, *raw.shape[1:]))

    def fill(start: int) -> None:
        some = np.s_[start : start + _ROWS] if rows is None else rows[start : start + _ROWS]
        values = np.asarray(raw[some])
        values = (values if standardize is None else standardize(values)).astype(np.float32)
        own = values if mask is None else np.where(mask[some][..., None], values, np.float32(0))
        x[start : start + _ROWS] = own

    for _ in in_order(fill, range(0, n, _ROWS)):
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
