"""Deep networks whose hidden layers are all as wide as their input, as one loop over layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes import layers, models
from dlnotes.typing import Array, PRNGKey


class Stack(NamedTuple):
    """Parameters of ``h⁰ = x``, ``hⁱ = g(hⁱ⁻¹ Wᵢ + bᵢ)``, ``output = h W + b``: those of an MLP.

    Attributes:
      hidden: `Dense` with a leading axis of layers, ``W`` (depth, width, width), ``b`` (depth, width).
      output: `Dense`, (width, outputs).
    """

    hidden: layers.Dense
    output: layers.Dense


def stack(
    width: int,
    depth: int,
    outputs: int,
    g: Callable[[Array], Array],
) -> models.Model:
    """What ``models.mlp(width, (width,) * depth, outputs)`` is, compiled in a depth-th of the time.

    Args:
      width: of the input and of every hidden layer.
      depth: number of hidden layers.
      outputs: number of outputs.
      g: the activation.
    """

    def init(key: PRNGKey, /) -> Stack:
        first, last = jax.random.split(key)
        W = jax.random.normal(first, (depth, width, width)) * (2 / width) ** 0.5
        return Stack(
            layers.Dense(W, jnp.zeros((depth, width), jnp.float32)), layers.init_dense(last, width, outputs)
        )

    def apply(params: Stack, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        h, _ = jax.lax.scan(lambda h, layer: (g(layers.dense(layer, h)), None), x, params.hidden)
        return layers.dense(params.output, h)

    return models.Model(init, apply)


def pre_activations(params: Stack, x: Array, g: Callable[[Array], Array]) -> Array:
    """``z`` of every hidden layer, ``(depth, batch, width)``."""

    def layer(h: Array, layer: layers.Dense) -> tuple[Array, Array]:
        z = layers.dense(layer, h)
        return g(z), z

    return jax.lax.scan(layer, x, params.hidden)[1]
