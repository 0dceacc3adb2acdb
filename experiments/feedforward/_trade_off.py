"""The trade-off between two errors: the frontier of what many networks reached."""

from __future__ import annotations

import numpy as np

CHANCE = 0.9
"""Error of guessing one of ten classes; no point counts as worse."""


def frontier(points: np.ndarray, worst: float = CHANCE) -> np.ndarray:
    """The lower left of the convex hull of points ``(x, y)``, from the least x to the least y.

    Args:
      points: ``(n, 2)`` errors; rows with a value that is not finite are left out.
      worst: errors above it count as it; the frontier ends at (worst, least y).

    Returns:
      ``(corners, 2)``, x rising and y falling.
    """
    points = np.minimum(points[np.isfinite(points).all(axis=1)], worst)
    least = points[:, 1].min(initial=worst)
    corners: list[np.ndarray] = []
    inside = points[points[:, 0] < worst]
    for point in np.unique(np.concatenate([inside, [[worst, least]]]), axis=0):
        while len(corners) > 1 and _on_or_above(corners[-1], corners[-2], point):
            corners.pop()
        corners.append(point)
    return np.array(corners)


def height(corners: np.ndarray, x: float, worst: float = CHANCE) -> float:
    """The least y that a frontier has where the other error is at most ``x``; ``worst`` where none has."""
    return float(np.interp(x, corners[:, 0], corners[:, 1], left=worst))


def area(corners: np.ndarray, worst: float = CHANCE) -> float:
    """The share of the square of all errors, ``[0, worst]²``, that lies below a frontier: 0 is perfect."""
    x, y = corners.T
    return float(x[0] * worst + np.trapezoid(y, x)) / worst**2


def _on_or_above(b: np.ndarray, a: np.ndarray, c: np.ndarray) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (c[1] - a[1]) * (b[0] - a[0]) <= (b[1] - a[1]) * (c[0] - a[0])
