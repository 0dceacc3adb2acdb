"""Digits at any place of a large canvas among pieces of other digits; for the claim on hard attention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlnotes import data

CANVAS, DIGIT, PIECE, PIECES = 60, 28, 8, 4
"""Pixels of a canvas' side, of a digit's, of a piece's, and pieces on a canvas, as in Mnih et al. 2014."""
COARSE = 4
CELLS = CANVAS // COARSE


class Canvases(NamedTuple):
    """Canvases ``(n, 60, 60, 1)`` in [0, 1].

    Attributes:
      x: gray levels.
      y: ``(n, 2)`` cell in which the middle of the digit lies, numbered row by row, and its class.
    """

    x: np.ndarray
    y: np.ndarray


def canvases(digits: data.Examples, n: int, seed: int) -> Canvases:
    """``n`` canvases, each with a digit wholly inside and pieces of others, at uniform places.

    Where digit and pieces meet the brighter is seen.

    Args:
      digits: MNIST with gray levels in [0, 1].
      n: how many.
      seed: of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    images, labels = np.asarray(digits.x)[..., 0], np.asarray(digits.y)
    x = np.zeros((n, CANVAS, CANVAS), np.float32)
    which = rng.permutation(len(images))[:n] if n <= len(images) else rng.integers(len(images), size=n)
    corner = rng.integers(CANVAS - DIGIT + 1, size=(n, 2))
    others = rng.integers(len(images), size=(n, PIECES))
    cut = rng.integers(DIGIT - PIECE + 1, size=(n, PIECES, 2))
    put = rng.integers(CANVAS - PIECE + 1, size=(n, PIECES, 2))
    for canvas, i, (r, c), pieces, cuts, puts in zip(x, which, corner, others, cut, put):
        canvas[r : r + DIGIT, c : c + DIGIT] = images[i]
        for j, (a, b), (top, left) in zip(pieces, cuts, puts):
            window = canvas[top : top + PIECE, left : left + PIECE]
            np.maximum(window, images[j, a : a + PIECE, b : b + PIECE], out=window)
    middle = (corner + DIGIT // 2) // COARSE
    y = np.stack([middle[:, 0] * CELLS + middle[:, 1], labels[which]], axis=1).astype(np.int32)
    return Canvases(x[..., None], y)
