"""Histograms of oriented gradients, features that were made by hand for images."""

from __future__ import annotations

import numpy as np


def oriented_gradients(images: np.ndarray, cell: int = 4, bins: int = 9) -> np.ndarray:
    """HOG features ``(n, features)`` of images ``(n, height, width)``, sides divisible by ``cell``.

    By cell, how strongly the image changes in each of ``bins`` directions in [0, π); each change counts for
    the two nearest directions. Blocks of 2 × 2 cells overlap and are normalized: to length 1, cut off at
    0.2, and to length 1 again.

    Source: Dalal and Triggs, 2005.
    """
    n, height, width = images.shape
    down, right = np.gradient(images.astype(np.float64), axis=(1, 2))
    strength, direction = np.hypot(down, right), np.arctan2(down, right) % np.pi
    place = direction / (np.pi / bins) - 0.5
    lower = np.floor(place)
    share = place - lower
    nearest = (lower.astype(int)[..., None] + np.arange(2)) % bins
    weight = strength[..., None] * np.stack([1 - share, share], axis=-1)
    votes = np.sum(weight[..., None] * (nearest[..., None] == np.arange(bins)), axis=-2)
    cells = votes.reshape(n, height // cell, cell, width // cell, cell, bins).sum((2, 4))
    blocks = np.lib.stride_tricks.sliding_window_view(cells, (2, 2), axis=(1, 2))
    vectors = np.moveaxis(blocks, 3, -1).reshape(*blocks.shape[:3], 4 * bins)
    vectors = unit(np.minimum(unit(vectors), 0.2))
    return vectors.reshape(n, -1).astype(np.float32)


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors of length 1 along the last axis; zero stays zero."""
    return v / np.sqrt(np.sum(v**2, axis=-1, keepdims=True) + 1e-10)
