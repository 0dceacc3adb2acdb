"""The networks whose learning curves are compared: convolutional, dense, and of a single hidden layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from dlnotes import models
from dlnotes.layers import (
    Dense,
    conv,
    dense,
    init_convolution,
    init_dense,
    init_locally_connected,
    locally_connected,
    relu,
)
from dlnotes.typing import Array, PRNGKey

WINDOW, MAPS, CLASSES = 5, 8, 10
CNN, ONE, TWO, SHARED, UNSHARED, DENSE = range(6)
NAMES = (
    "convolutional network",
    "dense, one hidden layer",
    "dense, two hidden layers",
    "one convolution",
    "one unshared layer",
    "one dense layer",
)


class Network(NamedTuple):
    """Parameters of ``output = relu(hidden(x)) W + b``.

    Attributes:
      hidden: `Convolution`, `LocallyConnected` or `Dense`.
      output: `Dense`.
    """

    hidden: Any
    output: Dense


def network(which: int, side: int = 14) -> models.Model:
    """One of the networks of `NAMES`, on images ``(batch, side, side, 1)``."""
    shape = (side, side, 1)
    if which == CNN:
        return models.cnn(shape, CLASSES, channels=(16, 32), kernel=5, dense=(64,))
    if which in (ONE, TWO):
        return models.mlp(shape, (512,) if which == ONE else (256, 128), CLASSES)
    units = (side - WINDOW + 1) ** 2 * MAPS

    def init(key: PRNGKey, /) -> Network:
        one, two = jax.random.split(key)
        if which == SHARED:
            hidden = init_convolution(one, (WINDOW, WINDOW), 1, MAPS)
        elif which == UNSHARED:
            hidden = init_locally_connected(one, (side, side), (WINDOW, WINDOW), 1, MAPS)
        else:
            hidden = init_dense(one, side * side, units)
        return Network(hidden, init_dense(two, units, CLASSES))

    def apply(params: Network, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        if which == SHARED:
            h = relu(conv(params.hidden, x, padding="VALID"))
        elif which == UNSHARED:
            h = relu(locally_connected(params.hidden, x))
        else:
            h = relu(dense(params.hidden, x.reshape(len(x), -1)))
        return dense(params.output, h.reshape(len(h), -1))

    return models.Model(init, apply)
