"""How good a labeling of pixels is: overlap and boundaries over a whole data set, on the host.

Neither is a mean over images, so they are no `LossFn`: a class may be missing in an image.
"""

from __future__ import annotations

import numpy as np

from dlnotes.typing import IGNORE


def confusion(predicted: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """``C[i, j]``: how many targets of class i were taken for class j.

    Args:
      predicted: ``(...)`` classes in 0..classes-1.
      y: of the same shape, `IGNORE` (-1) where there is no target.
      classes: K.

    Returns:
      ``(K, K)`` int64.

    Raises:
      ValueError: when the shapes differ.
    """
    predicted, y = np.asarray(predicted), np.asarray(y)
    if predicted.shape != y.shape:
        raise ValueError(f"predicted: got shape {predicted.shape}, allowed is that of y, {y.shape}")
    real = y != IGNORE
    pairs = y[real].astype(np.int64) * classes + predicted[real]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, ``C_kk / (Σ_j C_kj + Σ_i C_ik − C_kk)``.

    Args:
      counts: ``(K, K)`` as of `confusion`.

    Returns:
      ``(K,)``, NaN for a class that neither occurs nor is predicted.
    """
    both = np.diag(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def mean_iou(counts: np.ndarray) -> float:
    """The mean of `class_iou` over the classes that occur or are predicted.

    Source: notes C7.1; Everingham et al., 2015.

    Example:
      >>> float(mean_iou(np.array([[3, 1], [0, 4]])))
      0.775
    """
    return float(np.nanmean(class_iou(counts)))


def boundary_f(predicted: np.ndarray, y: np.ndarray, classes: int, *, tolerance: int = 1) -> float:
    """How well the outlines of the classes are followed: a mean over classes of ``2PR / (P + R)``.

    A class's boundary are its pixels with a neighbor (of four) of another class. P is the share of the
    predicted boundary that has a true one within the tolerance, R the share of the true boundary that has a
    predicted one, each over all images together.

    Args:
      predicted: ``(n, height, width)`` classes.
      y: ``(n, height, width)`` classes, `IGNORE` (-1) where there is no target; such pixels and
        edges to them are left out of both boundaries.
      classes: K; those without a true boundary are left out of the mean.
      tolerance: in pixels, sideways, up, down or diagonally.

    Returns:
      A number in [0, 1]; NaN when there is no boundary.

    Raises:
      ValueError: when the shapes do not fit or the tolerance is negative.

    Source: notes C7.1; Martin, Fowlkes and Malik, 2004; Csurka et al., 2013.

    Example:
      >>> y = np.zeros((1, 6, 6), int)
      >>> y[0, 2:4, 2:4] = 1
      >>> boundary_f(y, y, 2), boundary_f(np.roll(y, 1, 2), y, 2, tolerance=0) < 1
      (1.0, True)
    """
    predicted, y = np.asarray(predicted), np.asarray(y)
    if y.ndim != 3 or predicted.shape != y.shape:
        raise ValueError(
            f"predicted: got shape {predicted.shape} for y of {y.shape}, (n, height, width) both"
        )
    if tolerance < 0:
        raise ValueError(f"tolerance: got {tolerance}, allowed is 0 or more pixels")
    given = np.where(y == IGNORE, IGNORE, predicted)
    edges = [_edges(labels) for labels in (given, y)]
    scores = []
    for k in range(classes):
        mine, true = ((labels == k) & edge for labels, edge in zip((given, y), edges))
        if true.any():
            precision = (mine & _near(true, tolerance)).sum() / max(mine.sum(), 1)
            recall = (true & _near(mine, tolerance)).sum() / true.sum()
            scores.append(2 * precision * recall / max(precision + recall, 1e-12))
    return float(np.mean(scores)) if scores else float("nan")


def _edges(labels: np.ndarray) -> np.ndarray:
    """Pixels with a neighbor of another class."""
    found = np.zeros(labels.shape, bool)
    for axis in (1, 2):
        first, second = (slice(None),) * axis + (slice(-1),), (slice(None),) * axis + (slice(1, None),)
        differ = (labels[first] != labels[second]) & (labels[first] != IGNORE) & (labels[second] != IGNORE)
        found[first] |= differ
        found[second] |= differ
    return found


def _near(pixels: np.ndarray, distance: int) -> np.ndarray:
    """Pixels at most so far from one of those given."""
    from scipy.ndimage import maximum_filter

    side = 2 * distance + 1
    return maximum_filter(pixels.view(np.uint8), size=(1, side, side), mode="constant").view(bool)
