"""Inputs of any kind as rows of numbers, for methods that know nothing of images, series or trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.trees.bigrams import bigram_counts

Numbers = Callable[[Examples], Any]
"""``(n, features)`` numbers of examples, a dense array or a scipy sparse matrix."""

MOST = 4096
"""Numbers of an image, a volume or a series that are used as they are; of larger ones means of blocks."""

GRID = 16
"""Points of each side that an image of its own size is looked at."""

STEPS = 64
"""Steps that a series is resampled to for its shape, at most."""

BANDS, LONG = 24, 128
"""Bands of the spectrum of a series that is longer than so many steps."""


def numbers_of(dataset: Dataset) -> Numbers:
    """How the inputs of a data set become rows of numbers.

    Vectors are as they are. Images and volumes are flattened, large ones as means of blocks of pixels, those
    of sizes of their own by 16 × 16 of their pixels and their means. Series of one length are flattened where
    they are short; others are given by their values at equal distances and by mean, deviation, least and
    largest value, first and last of each channel; long ones by their spectrum too.

    Args:
      dataset: with inputs of numbers.

    Raises:
      ValueError: when the inputs are no numbers.
    """
    if dataset.input == "vector":
        return lambda examples: _flat(examples.x)
    if dataset.input in ("image", "volume"):
        return _pictures
    if dataset.input == "sequence":
        return _series
    raise ValueError(f"{dataset.input} inputs are no numbers")


def shape_of(dataset: Dataset) -> Numbers:
    """As `numbers_of`, but of a series only its values at equal distances: what neighbors are compared by."""
    return resampled if dataset.input == "sequence" else numbers_of(dataset)


def tree_numbers(dataset: Dataset, *, pairs: bool) -> Numbers:
    """How often each name is in a tree, and with ``pairs`` each pair of a node's name and a child's."""
    kinds = len(dataset.symbols) + 1

    def numbers(examples: Examples) -> Any:
        counted = bigram_counts(examples.x, np.asarray(examples.mask), len(dataset.symbols))
        return counted if pairs else counted[:, :kinds]

    return numbers


def _flat(x: Any) -> np.ndarray:
    x = np.asarray(x, np.float32)
    return x.reshape(len(x), -1)


def _pictures(examples: Examples) -> np.ndarray:
    if examples.mask is not None:
        return _sized(np.asarray(examples.x, np.float32), np.asarray(examples.mask))
    x = np.asarray(examples.x, np.float32)
    while x[0].size > MOST:
        axis = 1 + int(np.argmax(x.shape[1:-1]))
        if x.shape[axis] < 2:
            break
        x = _halved(x, axis)
    return _flat(x)


def _halved(x: np.ndarray, axis: int) -> np.ndarray:
    """Means of every two entries along an axis; the last alone where they are odd."""
    starts = np.arange(0, x.shape[axis], 2)
    counts = np.diff([*starts, x.shape[axis]])
    shape = [1] * x.ndim
    shape[axis] = len(starts)
    return np.add.reduceat(x, starts, axis=axis) / counts.reshape(shape).astype(np.float32)


def _sized(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels at the points of a grid over each one's own box, the means over it, and its sizes."""
    n, axes = len(x), mask.ndim - 1
    sizes = np.stack(
        [mask.any(tuple(b for b in range(1, axes + 1) if b != a)).sum(1) for a in range(1, axes + 1)]
    )
    grid = GRID if axes == 2 else 8
    where = [((np.arange(grid) + 0.5) / grid * size[:, None]).astype(np.int64) for size in sizes]
    index: list[np.ndarray] = [np.arange(n).reshape(n, *[1] * axes)]
    for a, at in enumerate(where):
        index.append(at.reshape(n, *[grid if b == a else 1 for b in range(axes)]))
    real = mask.reshape(n, -1)
    mean = (x.reshape(n, -1, x.shape[-1]) * real[..., None]).sum(1) / np.maximum(real.sum(1), 1)[:, None]
    return np.concatenate([_flat(x[tuple(index)]), mean, sizes.T], axis=1, dtype=np.float32)


def lengths_of(examples: Examples) -> np.ndarray:
    """``(n,)`` how many positions of each example are real."""
    if examples.mask is None:
        return np.full(examples.size, np.asarray(examples.x).shape[1])
    return np.asarray(examples.mask).sum(1)


def resampled(examples: Examples) -> np.ndarray:
    """Each series at as many equal distances as the longest has steps, at most `STEPS`, linear between."""
    x, lengths = np.asarray(examples.x, np.float32), lengths_of(examples)
    steps = min(STEPS, x.shape[1])
    at = np.linspace(0, 1, steps) * np.maximum(lengths - 1, 0)[:, None]
    before = np.floor(at).astype(np.int64)
    after = np.minimum(before + 1, np.maximum(lengths - 1, 0)[:, None])
    part = (at - before)[..., None].astype(np.float32)
    row = np.arange(len(x))[:, None]
    return _flat(x[row, before] * (1 - part) + x[row, after] * part)


def _series(examples: Examples) -> np.ndarray:
    x = np.asarray(examples.x, np.float32)
    if examples.mask is None and x[0].size <= MOST and x.shape[1] <= LONG:
        return _flat(x)
    lengths = lengths_of(examples)
    real = (np.arange(x.shape[1]) < lengths[:, None])[..., None]
    count = np.maximum(lengths, 1)[:, None].astype(np.float32)
    mean = (x * real).sum(1) / count
    deviation = np.sqrt((np.square(x - mean[:, None]) * real).sum(1) / count)
    low, high = np.where(real, x, np.inf).min(1), np.where(real, x, -np.inf).max(1)
    last = x[np.arange(len(x)), np.maximum(lengths - 1, 0)]
    found = [resampled(examples), mean, deviation, low, high, x[:, 0], last, lengths[:, None]]
    if x.shape[1] > LONG:
        found.append(_spectrum(x * real, x.shape[1]))
    return np.concatenate(found, axis=1, dtype=np.float32)


def _spectrum(x: np.ndarray, steps: int) -> np.ndarray:
    """The logarithm of the power in bands of frequencies that grow by equal factors."""
    power = np.square(np.abs(np.fft.rfft(x, axis=1))).astype(np.float32)[:, 1:]
    edges = np.unique(np.geomspace(1, power.shape[1], BANDS + 1).astype(np.int64)) - 1
    bands = np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)[:, None]
    return np.log(bands + 1e-6).reshape(len(x), -1)
