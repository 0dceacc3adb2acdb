"""Regressions with several answers: Bishop's inverse problem, the colors of a photograph, and a plain one.

The inverse problem: x = t + 0.3 sin 2πt + u with t ~ U(0, 1) and u ~ U(−0.1, 0.1), and t is to be found from
x (Bishop, 1994). Where the curve folds back the possible t of one x lie on several branches, all equally
likely, so that the true density is known: 1 over the length of the stretches they fill.

All problems come in one shape, so that one program trains them together: ten inputs, of which all but the
first are 0 where a problem has one, and equally many rows, patients being repeated in turn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dlnotes import data

NOISE, INPUTS = 0.1, 10
PATIENTS = (266, 88)
"""Of diabetes, to train on and to validate with; 88 are left to test."""
MIDDLE, SPREAD = 0.5, 0.3
"""Of the inverse problem's x, to standardize it."""
GRID = np.linspace(0, 1, 2001)


class Split(NamedTuple):
    """Data sets of several seeds, every array with a leading seeds axis.

    Attributes:
      train, validation, test: x ``(seeds, n, 10)`` and y ``(seeds, n, 1)``, float32.
    """

    train: data.Examples
    validation: data.Examples
    test: data.Examples


def together(problems: list[Split]) -> Split:
    """Several problems as one, the seeds of a problem side by side."""
    return Split(
        *(
            data.Examples(np.concatenate([e.x for e in part]), np.concatenate([e.y for e in part]))
            for part in zip(*problems)
        )
    )


def curve(t: np.ndarray) -> np.ndarray:
    """``t + 0.3 sin 2πt``."""
    return t + 0.3 * np.sin(2 * np.pi * t)


def possible(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Whether ``t`` can have made ``x``; of broadcast shapes."""
    return (np.abs(x - curve(t)) < NOISE) & (t >= 0) & (t <= 1)


def truth(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each x of ``(n,)``: the log-density of any possible t, the mean of t, the number of stretches."""
    can = possible(x[:, None], GRID)
    length = can.mean(1)
    mean = np.where(can, GRID, 0).sum(1) / np.maximum(can.sum(1), 1)
    stretches = (np.diff(can.astype(int), axis=1, prepend=0) == 1).sum(1)
    return -np.log(np.maximum(length, 1 / len(GRID))), mean, stretches


def inverse(seeds: int, train: int, test: int, first_seed: int = 0) -> Split:
    """Fresh points for each seed; validation is half as large as the training part."""

    def one(rng: np.random.Generator, n: int) -> data.Examples:
        t = rng.uniform(size=(n, 1))
        x = curve(t) + rng.uniform(-NOISE, NOISE, (n, 1))
        return data.Examples(_ten((x - MIDDLE) / SPREAD), t.astype(np.float32))

    rngs = [np.random.default_rng([94, first_seed + seed]) for seed in range(seeds)]
    return _stack([[one(rng, n) for n in (train, train // 2, test)] for rng in rngs])


def flower(seeds: int, train: int, test: int, first_seed: int = 0) -> Split:
    """Red of a pixel from its green, in a photograph of a red flower before leaves.

    Pixels are drawn anew for each seed; a uniform number undoes the rounding to whole levels.
    """
    from sklearn.datasets import load_sample_image

    pixels = np.asarray(load_sample_image("flower.jpg"), np.float64).reshape(-1, 3)

    def one(seed: int) -> list[data.Examples]:
        rng = np.random.default_rng([7, seed])
        rows = rng.choice(len(pixels), train + train // 2 + test, replace=False)
        colors = pixels[rows, :2] + rng.uniform(-0.5, 0.5, (len(rows), 2))
        return _standardized(colors[:, 1:], colors[:, :1], train, train // 2)

    return _stack([one(first_seed + seed) for seed in range(seeds)])


def diabetes(seeds: int, train: int, test: int, first_seed: int = 0) -> Split:
    """The 442 patients divided anew for each seed, 60% to train and 20% each to validate and to test."""
    table = data.load("tabular", name="diabetes", validation=0, test=0).train

    def one(seed: int) -> list[data.Examples]:
        rows = np.random.default_rng([442, seed]).permutation(len(table.y))
        parts = _standardized(table.x[rows], table.y[rows], *PATIENTS)
        sizes = (train, train // 2, test)
        return [data.Examples(*(np.resize(a, (n, a.shape[1])) for a in e[:2])) for e, n in zip(parts, sizes)]

    return _stack([one(first_seed + seed) for seed in range(seeds)])


def _standardized(x: np.ndarray, y: np.ndarray, train: int, validation: int) -> list[data.Examples]:
    """The three parts, with mean 0 and deviation 1 of the first."""
    x, y = ((a - a[:train].mean(0)) / a[:train].std(0) for a in (x, y))
    edges = (0, train, train + validation, len(x))
    return [data.Examples(_ten(x[a:b]), y[a:b].astype(np.float32)) for a, b in pairwise(edges)]


def _ten(x: np.ndarray) -> np.ndarray:
    """``(n, inputs)`` with zeros up to ten inputs."""
    return np.pad(x, ((0, 0), (0, INPUTS - x.shape[1]))).astype(np.float32)


def _stack(seeds: list[list[data.Examples]]) -> Split:
    return Split(
        *(data.Examples(np.stack([e.x for e in part]), np.stack([e.y for e in part])) for part in zip(*seeds))
    )
