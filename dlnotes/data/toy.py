"""Two small problems with nothing to load."""

from __future__ import annotations

import numpy as np

from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices


def xor() -> Dataset:
    """The four points of exclusive or, two classes.

    There is nothing to hold out: the test part is the same four points, and there is no validation
    part.

    >>> xor().train.y.tolist()
    [0, 1, 1, 0]
    """
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    every = np.arange(4)
    return assemble(
        "xor",
        x,
        np.array([0, 1, 1, 0]),
        (every, every[:0], every),
        input="vector",
        task="classification",
        outputs=2,
        classes=("0", "1"),
        features=("x1", "x2"),
    )


def two_moons(
    *,
    n: int = 400,
    noise: float = 0.1,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Two interleaved half circles in the plane, two classes.

    Class 0: ``(cos a, sin a)``; class 1: ``(1 − cos a, 1/2 − sin a)``; ``a ~ U(0, π)``, plus normal noise
    of standard deviation ``noise``.

    Args:
      n: number of points, half of them in each class.
      noise: standard deviation, 0 or more.
      validation: share or number of points for validation.
      test: the same for the test part.
      seed: of the points and of the split.
      standardize: whether both coordinates are standardized.

    Raises:
      ValueError: when ``n`` or ``noise`` is out of range.
    """
    if n < 4:
        raise ValueError(f"n: got {n}, at least 4 points are needed")
    if noise < 0:
        raise ValueError(f"noise: got {noise}, allowed is 0 or more")
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    angle = rng.uniform(0, np.pi, n)
    first = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 0, first, np.array([1.0, 0.5]) - first) + noise * rng.standard_normal((n, 2))
    return assemble(
        "two_moons",
        x,
        y,
        split_indices(n, validation=validation, test=test, seed=seed, stratify=y),
        input="vector",
        task="classification",
        outputs=2,
        standardize=standardize,
        classes=("upper", "lower"),
        features=("x1", "x2"),
    )
