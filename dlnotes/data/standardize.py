"""Standardizing inputs and regression targets with statistics of the training part."""

from __future__ import annotations

import math

import numpy as np

from dlnotes.data.dataset import Standardize

_ALIGNMENT = 64  # bytes, of the arrays of XLA on CPUs
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
    total, squares, count = np.zeros(width), np.zeros(width), 0
    low, high = np.full(width, np.inf), np.full(width, -np.inf)

    n = len(raw) if rows is None else len(rows)

    def chunks():
        for start in range(0, n, _ROWS):
            some = np.s_[start : start + _ROWS] if rows is None else rows[start : start + _ROWS]
            values = np.asarray(raw[some])
            yield (values if mask is None else values[mask[some]]).reshape(-1, width)

    for values in chunks():
        if len(values):
            count += len(values)
            total += values.sum(axis=0, dtype=np.float64)
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    if count == 0:
        raise ValueError(f"raw: got shape {raw.shape} with no position to average over")
    mean = np.where(low == high, low, total / count)
    for values in chunks():
        squares += np.square(values.astype(np.float64) - mean).sum(axis=0)
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
    for start in range(0, n, _ROWS):
        some = np.s_[start : start + _ROWS] if rows is None else rows[start : start + _ROWS]
        values = np.asarray(raw[some])
        values = (values if standardize is None else standardize(values)).astype(np.float32)
        x[start : start + _ROWS] = (
            values if mask is None else np.where(mask[some][..., None], values, np.float32(0))
        )
    return x


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialized float32 array that begins where a CPU device can use it without a copy."""
    size = 4 * math.prod(shape)
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(np.float32).reshape(shape)
