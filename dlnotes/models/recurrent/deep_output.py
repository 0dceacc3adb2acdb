"""Layers between a state and the output: a deep read-out on top of any network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import all_positive, positive
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey


class DeepOutputParams(NamedTuple):
    """``z¹ = net(x)``, then ``z^{k+1} = tanh(z^k) W_k + b_k``; the last one is the output.

    Attributes:
      net: parameters of the network below, whose own read-out ``z¹ = h V + c`` is the first layer.
      layers: `Dense` of each further layer.
    """

    net: Params
    layers: tuple[Dense, ...]


def deep_output(
    net: Callable[[int], Model],
    widths: Sequence[int],
    outputs: int,
    *,
    init_scale: float | Array = 1.0,
) -> Model:
    """A network with a multilayer perceptron between its state and its output.

    The perceptron does not wait for the states: it runs once over all positions.

    Args:
      net: ``net(outputs)`` makes the network, with so many outputs.
      widths: units of each hidden layer, tanh after each.
      outputs: number of classes, or of regression outputs.
      init_scale: factor on the initial weights of the layers that are added; may be traced.

    Returns:
      A `Model` of `DeepOutputParams` that takes what the network takes; output (..., outputs).

    Raises:
      ValueError: for no widths, or a size below 1.

    Source: notes R11.1; Pascanu et al., 2014.

    Example:
      >>> from functools import partial
      >>> from dlnotes import models
      >>> model = deep_output(partial(models.sequence_labeler, 3, 16), (8, 8), 2)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((4, 7, 3))).shape
      (4, 7, 2)
    """
    widths = all_positive("widths", widths)
    if not widths:
        raise ValueError("widths: got none, allowed is the width of at least one layer")
    positive(outputs=outputs)
    below, sizes = net(widths[0]), (*widths, outputs)

    def init(key: PRNGKey, /) -> DeepOutputParams:
        key, *keys = jax.random.split(key, len(sizes))
        layers = tuple(
            init_dense(k, before, after, initializer="glorot_uniform", init_scale=init_scale)
            for k, before, after in zip(keys, sizes, sizes[1:])
        )
        return DeepOutputParams(below.init(key), layers)

    def apply(
        params: DeepOutputParams, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        z = below.apply(params.net, x, key=key, mask=mask)
        for layer in params.layers:
            z = dense(layer, jnp.tanh(z))
        return z

    return Model(init, apply)
