"""A small convolutional network on pictures of clothes, before and after training; for several claims."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Recipe, fit, optimizer

CHANNELS, KERNEL = (8, 16), 5
NETWORK = models.cnn((28, 28, 1), 10, channels=CHANNELS, kernel=KERNEL, dense=())
"""Two stages of convolution, max-pooling and ReLU, then a linear output."""
STATES = ("random", "trained")


class Networks(NamedTuple):
    """The same members before and after their training.

    Attributes:
      params: one for each of `STATES`, leaves ``(members, ...)``.
      test: images that no member was trained on, with their classes.
      accuracy: ``(2, members)`` on ``test``.
    """

    params: tuple[models.CNN, ...]
    test: data.Examples
    accuracy: np.ndarray


def train_networks(*, seeds: int, steps: int, images: int, test: int, batch: int = 32) -> Networks:
    """One member per seed, each with weights and an order of its own, by Adam.

    Args:
      seeds: number of members.
      steps: of each training.
      images: training images of Fashion-MNIST, the first so many.
      test: test images, the first so many.
      batch: examples of a step.
    """
    clothes = data.load("fashion_mnist")
    train, unseen = (
        data.Examples(np.asarray(part.x[:n]), np.asarray(part.y[:n]))
        for part, n in ((clothes.train, images), (clothes.split("test"), test))
    )
    result = fit(
        Recipe(NETWORK, outputs.cross_entropy, {}, optimizer("adam", 0.003)),
        train,
        steps=steps,
        batch_size=min(batch, images),
        seeds=range(seeds),
        every=steps,
        probe=lambda params: params,
        record=steps,
        convolutions=True,
    )

    @jax.jit
    def right(params: models.CNN):
        return jax.lax.map(lambda p: NETWORK.apply(p, unseen.x).argmax(-1) == unseen.y, params)

    params = tuple(jax.tree.map(lambda a, i=i: a[i], result.probes) for i in range(len(STATES)))
    return Networks(params, unseen, np.array([np.asarray(right(p)).mean(-1) for p in params]))
