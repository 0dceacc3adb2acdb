"""Tiles of two color photographs: color images without a file of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset

_TURN = ("train", "train", "train", "test", "validation")  # of the columns of tiles, again and again


def photo_patches(*, size: int = 16, standardize: bool = True) -> Dataset:
    """Tiles ``(size, size, 3)`` of two photographs, a temple and a flower; the class is the photograph.

    Tiles do not overlap. Of five columns of tiles three are for training, one for the test and one for
    validation, so that all of a part lies in strips of its own.

    Args:
      size: pixels of each side, 4 to 64; there are 2,080 tiles of 16.
      standardize: whether each color is standardized; raw values are in [0, 1].

    Raises:
      ValueError: when the size is out of range.

    Source: scikit-learn's sample images, by danielbuechele and vultilion (flickr.com), CC BY 2.0.

    >>> photo_patches().inputs
    (16, 16, 3)
    """
    from sklearn.datasets import load_sample_images

    if not 4 <= size <= 64:
        raise ValueError(f"size: got {size}, allowed is 4..64")
    bunch: Any = load_sample_images()
    rows, columns = (n // size for n in bunch.images[0].shape[:2])
    cut = [image[: rows * size, : columns * size] for image in bunch.images]
    tiles = np.stack(cut).reshape(2, rows, size, columns, size, 3).swapaxes(2, 3)
    part = np.tile(np.array(_TURN)[np.arange(columns) % len(_TURN)], 2 * rows)
    train, validation, test = (np.flatnonzero(part == name) for name in ("train", "validation", "test"))
    return assemble(
        "photo_patches",
        tiles.reshape(-1, size, size, 3).astype(np.float32) / 255,
        np.repeat(np.arange(2), rows * columns),
        (train, validation, test),
        input="image",
        task="classification",
        outputs=2,
        standardize=standardize,
        classes=("china", "flower"),
    )
