"""Deep perceptrons whose hidden layers are all of one width, and the ways in which they start."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import layers, models, outputs
from dlnotes.pretraining import Encoder

INPUTS, CLASSES = 784, 10


class Stack(NamedTuple):
    """Parameters of a perceptron whose hidden layers but the first are of one shape.

    Attributes:
      first: `Dense`, (inputs, width).
      rest: `Dense` with a leading axis, the other hidden layers.
      output: `Dense`, (width, classes).
    """

    first: layers.Dense
    rest: layers.Dense
    output: layers.Dense


def network(depth: int, width: int, g: Any) -> models.Model:
    """What ``models.mlp(784, (width,) * depth, 10)`` is, as one loop over layers: it compiles faster."""
    inside = depth - 1, width, width

    def init(key: Any, /) -> Stack:
        first, rest, last = jax.random.split(key, 3)
        hidden = jax.random.normal(rest, inside) * (2 / width) ** 0.5
        return Stack(
            layers.init_dense(first, INPUTS, width),
            layers.Dense(hidden, jnp.zeros(inside[:2], jnp.float32)),
            layers.init_dense(last, width, CLASSES),
        )

    def apply(params: Stack, x: Any, /, *, key: Any = None, mask: Any = None) -> Any:
        h = g(layers.dense(params.first, x))
        h, _ = jax.lax.scan(lambda h, layer: (g(layers.dense(layer, h)), None), h, params.rest)
        return layers.dense(params.output, h)

    return models.Model(init, apply)


def scaled(he: Stack, times: float) -> Stack:
    """So many times Glorot's weights in the hidden layers, from weights by He's rule."""

    def layer(dense: layers.Dense) -> layers.Dense:
        inputs, units = dense.W.shape[-2:]
        return dense._replace(W=dense.W * np.float32(times * (inputs / (inputs + units)) ** 0.5))

    return he._replace(first=layer(he.first), rest=layer(he.rest))


def carried(random: Stack, encoders: Sequence[Encoder]) -> Stack:
    """All members' hidden layers from a greedy stack; the output layer stays random."""
    found = []
    for encoder in encoders:
        assert encoder.learner.dense_of is not None
        found.append(jax.vmap(encoder.learner.dense_of)(encoder.params))
    rest = layers.Dense(*(jnp.stack(parts, axis=1) for parts in zip(*found[1:])))
    return random._replace(first=layers.Dense(*found[0]), rest=rest)


@partial(jax.jit, static_argnums=0)
def way_down(activation: str, params: Stack, x: Any, y: Any) -> Any:
    """Gradient norm of the second hidden layer over that of the last one, of every member."""
    depth, width = 1 + params.rest.W.shape[1], params.rest.W.shape[-1]
    model = network(depth, width, layers.ACTIVATIONS[activation])

    def one(p: Stack) -> Any:
        slope = jax.grad(lambda p: jnp.mean(outputs.cross_entropy(model.apply(p, x), y).total))(p)
        norms = jnp.linalg.norm(slope.rest.W, axis=(1, 2))
        return norms[0] / norms[-1]

    return jax.lax.map(one, params)
