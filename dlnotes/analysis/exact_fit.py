"""One hidden layer with 2n + d weights that has any n values at n different points, written down."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np


class ExactFit(NamedTuple):
    """The network ``f(x) = Σ_j w_j max(0, aᵀx − b_j)``.

    Attributes:
      a: ``(d,)`` the direction, shared by all units.
      b: ``(n,)`` where each unit begins, ascending.
      w: ``(n,)`` output weights.
    """

    a: np.ndarray
    b: np.ndarray
    w: np.ndarray

    @property
    def weights(self) -> int:
        """How many there are: ``2 n + d``."""
        return self.a.size + self.b.size + self.w.size

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``(points, d)`` to ``(points,)``, in the precision of the weights."""
        z = np.asarray(x, self.a.dtype) @ self.a
        parts = np.array_split(z, len(z) // 500 + 1)
        return np.concatenate([np.maximum(part[:, None] - self.b, 0) @ self.w for part in parts])


class RationalFit(NamedTuple):
    """An `ExactFit` in whole numbers and fractions, without rounding.

    Attributes:
      a: ``(d,)`` whole numbers.
      b: n whole numbers, ascending.
      w: n fractions.
    """

    a: np.ndarray
    b: list[int]
    w: list[Fraction]

    @property
    def weights(self) -> int:
        """How many there are: ``2 n + d``."""
        return self.a.size + len(self.b) + len(self.w)

    def __call__(self, x: np.ndarray) -> list[Fraction]:
        """The exact values at points of whole numbers, ``(points, d)``.

        The units that are active at a place z are the first few, of which the sum is ``z Σ w_j − Σ w_j b_j``:
        both sums are taken once for all places.
        """
        slopes, offsets = [Fraction(0)], [Fraction(0)]
        for b, w in zip(self.b, self.w):
            slopes.append(slopes[-1] + w)
            offsets.append(offsets[-1] + w * b)
        z = [int(v) for v in np.asarray(x, np.int64) @ self.a]
        active = np.searchsorted(np.array(self.b, np.int64), z, side="left")  # units with b < z
        return [place * slopes[k] - offsets[k] for place, k in zip(z, active)]


def exact_fit(x: np.ndarray, y: np.ndarray, *, seed: int = 0) -> ExactFit:
    """A network with one hidden layer of n ReLU units and 2n + d weights whose value at x_i is y_i.

    All units see the same direction a, along which the points lie at different places z_i; in their order
    unit i begins at the place of the point before. Then the matrix ``max(0, z_i − b_j)`` is triangular with
    a positive diagonal, and w is what solves it: the straight lines through the points one after another.

    Args:
      x: ``(n, d)`` different points.
      y: ``(n,)`` their values, any numbers.
      seed: of the direction, which is normal.

    Raises:
      ValueError: when sizes differ or two points are the same.

    Source: Zhang et al. 2017, theorem 1; notes F4.8.

    Example:
      >>> x = np.random.default_rng(1).normal(size=(50, 3))
      >>> y = np.random.default_rng(2).integers(10, size=50)
      >>> fit = exact_fit(x, y)
      >>> fit.weights, bool((fit(x).round() == y).all())
      (103, True)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    _check(x, y)
    a = np.random.default_rng(seed).normal(size=x.shape[1])
    order, z = _order(x @ a)
    b = np.append(z[0] - 1, z[:-1])
    slopes = np.diff(y[order], prepend=0) / (z - b)
    return ExactFit(a, b, np.diff(slopes, prepend=0))


def rational_fit(x: np.ndarray, y: Sequence[int] | np.ndarray, *, seed: int = 0) -> RationalFit:
    """`exact_fit` of points and values that are whole numbers, such as pixels and classes, without rounding.

    Args:
      x: ``(n, d)`` different points of whole numbers, ``|x| < 2**20``.
      y: ``(n,)`` whole numbers.
      seed: of the direction: whole numbers up to 2³⁰.

    Raises:
      ValueError: when they are no whole numbers, sizes differ or two points are the same.

    Source: Zhang et al. 2017, theorem 1; notes F4.8.

    Example:
      >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
      >>> fit = rational_fit(x, y)
      >>> fit.weights, fit(x) == y
      (10, True)
    """
    x, y = np.asarray(x), np.asarray(y)
    for name, value in (("x", x), ("y", y)):
        if not np.issubdtype(value.dtype, np.integer):
            raise ValueError(f"{name}: got dtype {value.dtype}, needed are whole numbers")
    _check(x, y)
    if np.abs(x).max() >= 2**20:
        raise ValueError(f"x: got {np.abs(x).max()}, allowed are whole numbers below 2**20")
    a = np.random.default_rng(seed).integers(-(2**30), 2**30, size=x.shape[1])
    order, z = _order(x.astype(np.int64) @ a)
    b = [int(z[0]) - 1, *(int(v) for v in z[:-1])]
    values = [int(v) for v in y[order]]
    slopes = [Fraction(y1 - y0, int(end) - begin) for y0, y1, begin, end in zip([0, *values], values, b, z)]
    return RationalFit(a, b, [s - t for s, t in zip(slopes, [Fraction(0), *slopes])])


def _order(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points in order along the direction, and their places there."""
    order = np.argsort(z, kind="stable")
    if np.any(np.diff(z[order]) <= 0):
        raise ValueError("x: got two points that are the same, or at one place; needed are different points")
    return order, z[order]


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(x):
        raise ValueError(f"x, y: got shapes {x.shape} and {y.shape}, needed are (n, d) and (n,), n > 0")
