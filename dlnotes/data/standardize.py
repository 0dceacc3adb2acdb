"""Standardizing inputs and regression targets with statistics of the training part."""

from __future__ import annotations

import numpy as np

from dlnotes.data.dataset import Standardize

_ROWS = 4096  # of examples looked at together, so that no float64 copy of a whole image set is made


def fit(raw: np.ndarray, *, mask: np.ndarray | None = None) -> Standardize:
    """Mean and standard deviation over everything but the last axis.

    ``mean_j = E[x_j]``, ``scale_j = sqrt(E[(x_j − mean_j)²])``, for each feature of a vector or a
    sequence and for each channel of an image. A column that is constant (to float32's resolution)
    gets scale 1, so that it becomes 0 and not noise.

    Args:
      raw: ``(n, ..., features)`` floats of the training part only.
      mask: ``(n, time)`` booleans; positions that are False are left out.

    Returns:
      `Standardize` with ``(features,)`` arrays of the dtype of ``raw``.

    Raises:
      ValueError: when there is nothing to average.
    """
    width = raw.shape[-1]
    total, squares, count = np.zeros(width), np.zeros(width), 0
    low, high = np.full(width, np.inf), np.full(width, -np.inf)

    def chunks():
        for start in range(0, len(raw), _ROWS):
            rows = raw[start : start + _ROWS]
            yield (rows if mask is None else rows[mask[start : start + _ROWS]]).reshape(-1, width)

    for rows in chunks():
        if len(rows):
            count += len(rows)
            total += rows.sum(axis=0, dtype=np.float64)
            low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
    if count == 0:
        raise ValueError(f"raw: got shape {raw.shape} with no position to average over")
    mean = np.where(low == high, low, total / count)
    for rows in chunks():
        squares += np.square(rows.astype(np.float64) - mean).sum(axis=0)
    scale = np.sqrt(squares / count)
    scale = np.where((low == high) | (scale <= 1e-7 * np.abs(mean)), 1.0, scale)
    return Standardize(mean=mean.astype(raw.dtype), scale=scale.astype(raw.dtype))


def apply(standardize: Standardize | None, raw: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """``standardize(raw)`` as float32, with 0 at positions that the mask leaves out.

    Args:
      standardize: from `fit`, or ``None`` to leave the values as they are.
      raw: ``(n, ..., features)``.
      mask: ``(n, time)`` booleans, or ``None``.
    """
    x = (raw if standardize is None else standardize(raw)).astype(np.float32)
    if mask is not None:
        x = np.where(mask[..., None], x, np.float32(0))
    return x
