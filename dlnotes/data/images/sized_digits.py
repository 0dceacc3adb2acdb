"""Real handwritten digits drawn at many sizes, on images of many sizes: no files, no network."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.data.assemble import assemble, pad_boxes
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices

SIDE = 8
"""Rows and columns of the bundled digits."""


def stretched(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """An image at another size by bilinear interpolation, ``A_h X A_wᵀ``, edges continued.

    Args:
      image: ``(height, width)``.
      shape: of the result.

    >>> stretched(np.array([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    rows, columns = (_weights(old, new) for old, new in zip(image.shape, shape))
    return rows @ image @ columns.T


def _weights(old: int, new: int) -> np.ndarray:
    """``(new, old)``: how much of each old pixel a new one takes; pixel i has its middle at i + ½.

    Where the image shrinks, a new pixel takes from as many old ones as fall to it (no aliasing).
    """
    place = (np.arange(new) + 0.5) * old / new - 0.5
    reach = max(1.0, old / new)
    weights = np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(old)) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


def placed(images: np.ndarray, sizes: np.ndarray, sides: np.ndarray, rng: Any) -> list[np.ndarray]:
    """Each image stretched to a square and put at a random place of a dark image of its own size.

    Args:
      images: ``(n, height, width)``.
      sizes: ``(n, 2)`` height and width of each result.
      sides: ``(n,)`` of the squares, at most the smaller of the two.
      rng: a numpy generator, from which the places are drawn, uniformly.

    Returns:
      Arrays ``(height, width, 1)`` float32.
    """
    drawn = []
    for image, (height, width), side in zip(images, sizes, sides):
        canvas = np.zeros((height, width, 1), np.float32)
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        canvas[top : top + side, left : left + side, 0] = stretched(image, (side, side))
        drawn.append(canvas)
    return drawn


def sized_digits(
    *,
    min_size: int = 8,
    max_size: int = 32,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """The 1,797 bundled digits, each on an image of its own size, padded to the largest with a mask.

    Height and width are uniform in min_size … max_size and independent; the digit is stretched to a
    square whose side is uniform between min_size and the smaller of the two, at a uniform place on it.
    Input "image" ``(n, max_size, max_size, 1)`` with mask ``(n, max_size, max_size)``.

    Args:
      min_size: smallest height, width and side of a digit, in pixels; at least 8, as the digits have.
      max_size: largest height and width.
      validation: share or number of examples for validation, stratified by class.
      test: the same for the test part.
      seed: of sizes and places, and of the split.
      standardize: whether ``x = (raw − mean) / scale`` with the training part's real pixels.

    Raises:
      ValueError: when the sizes are out of range.

    Source: as for `digits`.

    >>> sized_digits(max_size=20).inputs
    (20, 20, 1)
    """
    from sklearn.datasets import load_digits

    if not SIDE <= min_size <= max_size:
        raise ValueError(
            f"min_size, max_size: got {min_size}, {max_size}, allowed is {SIDE} <= min_size <= max_size"
        )
    bunch: Any = load_digits()
    y = bunch.target
    rng = np.random.default_rng(seed)
    sizes = rng.integers(min_size, max_size + 1, (len(y), 2))
    sizes[0] = max_size  # so that the padded shape does not depend on the draw
    sides = rng.integers(min_size, sizes.min(axis=1) + 1)
    x, mask = pad_boxes(placed(bunch.images / 16, sizes, sides, rng))
    return assemble(
        "sized_digits",
        x,
        y,
        split_indices(len(y), validation=validation, test=test, seed=seed, stratify=y),
        input="image",
        task="classification",
        outputs=10,
        mask=mask,
        standardize=standardize,
        classes=tuple("0123456789"),
    )
