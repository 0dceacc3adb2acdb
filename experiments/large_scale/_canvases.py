"""Digits at any place of a large canvas among pieces of other digits; for the claim on hard attention."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlnotes import data

CANVAS, DIGIT, PIECE, PIECES = 30, 14, 4, 4
"""Pixels of a canvas' side, of a digit's, of a piece's, and pieces on a canvas: half of Mnih et al. 2014."""
COARSE = 3
CELLS = CANVAS // COARSE


class Canvases(NamedTuple):
    """Canvases ``(n, 30, 30, 1)`` in [0, 1].

    Attributes:
      x: gray levels.
      y: ``(n, 2)`` cell in which the middle of the digit lies, numbered row by row, and its class.
    """

    x: np.ndarray
    y: np.ndarray


def canvases(digits: data.Examples, n: int, seed: int) -> Canvases:
    """``n`` canvases, each with a digit wholly inside and pieces of others, at uniform places.

    Digits are made half as high and wide. Where digit and pieces meet the brighter is seen.

    Args:
      digits: MNIST with gray levels in [0, 1].
      n: how many.
      seed: of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    by = digits.x.shape[1] // DIGIT
    images = np.asarray(digits.x).reshape(-1, DIGIT, by, DIGIT, by).mean((2, 4))
    labels = np.asarray(digits.y)
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


class Looked(NamedTuple):
    """What the networks read.

    Attributes:
      canvas: ``(n, 30, 30, 1)``.
      cell: ``(n,)`` in which the middle of the digit lies.
      near: ``(n,)`` this cell or one of the eight around it, at random.
      far: ``(n,)`` any cell, at random.
    """

    canvas: Any
    cell: Any
    near: Any
    far: Any


def looked(made: Canvases, seed: int) -> data.Examples:
    """Canvases with places drawn for each; its targets are the classes of the digits."""
    rng = np.random.default_rng([seed, 1])
    cell, n = made.y[:, 0], len(made.y)
    moved = rng.choice([-1, 0, 0, 1], (2, n))
    near = cell + CELLS * moved[0] + moved[1]  # a digit lies wholly inside, so that all of these are cells
    far = rng.integers(CELLS**2, size=n)
    x = Looked(made.x, *(v.astype(np.int32) for v in (cell, near, far)))
    return data.Examples(x, made.y[:, 1])
