"""Digits at random places of a dark image, asked what they are or where, and networks for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlnotes import data, models

PLACES = 7
"""Places along each axis."""
WINDOW = 10
"""Side of the pooled window at steps of one pixel: every place of a digit's middle lies in one window."""
POOLED, WHOLE, STRIDED = range(3)
NAMES = ("pooled", "without pooling", "every tenth position")
WHAT, WHERE = range(2)
TASKS = ("which digit", "which place")


class Side(NamedTuple):
    """Sizes in pixels, for images of 14 or of 28 pixels a side.

    Attributes:
      digit: side of a digit's image, 14 or 28.
    """

    digit: int

    @property
    def step(self) -> int:
        """Distance of two neighboring places."""
        return self.digit // 14

    @property
    def canvas(self) -> int:
        """Side of the images that networks see."""
        return self.digit + (PLACES - 1) * self.step


def network(which: int, task: int, side: int, maps: int) -> models.Model:
    """A convolution, then max-pooling, nothing, or one position in so many; a dense layer; an answer.

    With pooling and with strides the parameters are as many; without either the dense layer sees all
    positions of the convolution.
    """
    size = Side(side)
    n = WINDOW * size.step
    stage = {
        POOLED: models.Stage(maps, kernel=5, pool=n),
        WHOLE: models.Stage(maps, kernel=5),
        STRIDED: models.Stage(maps, kernel=5, stride=n),
    }[which]
    answers = 10 if task == WHAT else PLACES**2
    return models.conv_net((size.canvas, size.canvas, 1), answers, stages=[stage], dense=(64,))


def on_canvas(images: np.ndarray, side: int, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    """Each image ``(n, 28, 28, 1)`` at a random place of a dark one, and which place, ``(n,)`` of 49."""
    size, n = Side(side), len(images)
    r = 28 // side
    small = images.reshape(n, side, r, side, r, 1).mean((2, 4))
    place = rng.integers(0, PLACES, (n, 2))
    canvas = np.zeros((n, size.canvas, size.canvas, 1), np.float32)
    for picture, digit, (i, j) in zip(canvas, small, place * size.step):
        picture[i : i + side, j : j + side] = digit
    return canvas, (place[:, 0] * PLACES + place[:, 1]).astype(np.int32)


def drawn(part: Any, seed: int, n: int, task: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n images of a seed's own order at places of its own, and the answers; sets are nested."""
    rng = np.random.default_rng([seed, 612])
    chosen = rng.permutation(len(part.x))[:n]
    x, place = on_canvas(np.asarray(part.x[np.sort(chosen)]), side, np.random.default_rng([seed, 613]))
    y = np.asarray(part.y[np.sort(chosen)]).astype(np.int32)
    back = np.argsort(np.argsort(chosen))
    return x[back], (y if task == WHAT else place)[back]


def examples_of(
    part: Any, seeds: np.ndarray, numbers: np.ndarray, task: int, side: int, length: int
) -> data.Examples:
    """For each member its training set, repeated to one length so that one program trains all."""
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    x, y = [], []
    for seed, n in zip(seeds.tolist(), numbers.tolist()):
        if seed not in found:
            found[seed] = drawn(part, seed, length, task, side)
        rows = np.resize(np.arange(n), length)
        x.append(found[seed][0][rows])
        y.append(found[seed][1][rows])
    return data.Examples(np.stack(x), np.stack(y))
