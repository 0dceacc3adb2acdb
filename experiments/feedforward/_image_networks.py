"""Small networks over images of 28 × 28 pixels, with any function as hidden unit, and what is seen of them.

Images are rows of 784 numbers, as `dlnotes.data.parts_of` gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, layers, models, outputs
from dlnotes.analysis.curvature import inner
from dlnotes.typing import Array, Params, PRNGKey

SIDE, INPUTS, CLASSES = 28, 784, 10
MAPS = (8, 16)
Unit = Callable[[Array], Array]


class Dense3(NamedTuple):
    """Parameters of a perceptron of two hidden layers.

    Attributes:
      first, second, output: `Dense`.
    """

    first: layers.Dense
    second: layers.Dense
    output: layers.Dense


class Convolutional(NamedTuple):
    """Parameters of two convolutions with stride 2 and a dense layer.

    Attributes:
      first, second: `Convolution`.
      output: `Dense`.
    """

    first: layers.Convolution
    second: layers.Convolution
    output: layers.Dense


def dense_outputs(params: Dense3, x: Array, g: Unit) -> tuple[Array, Array, Array]:
    """Pre-activations of both hidden layers, and the logits."""
    first = layers.dense(params.first, x)
    second = layers.dense(params.second, g(first))
    return first, second, layers.dense(params.output, g(second))


def convolutional_outputs(params: Convolutional, x: Array, g: Unit) -> tuple[Array, Array, Array]:
    """The same of a convolutional network."""
    first = layers.conv(params.first, x.reshape(-1, SIDE, SIDE, 1), stride=2)
    second = layers.conv(params.second, g(first), stride=2)
    return first, second, layers.dense(params.output, g(second).reshape(len(x), -1))


def perceptron(width: int, g: Unit) -> models.Model:
    """Two hidden layers of so many units."""

    def init(key: PRNGKey, /) -> Dense3:
        sizes = ((INPUTS, width), (width, width), (width, CLASSES))
        return Dense3(*(layers.init_dense(k, *n) for k, n in zip(jax.random.split(key, 3), sizes)))

    def apply(params: Dense3, x: Any, /, *, key: Any = None, mask: Any = None) -> Array:
        return dense_outputs(params, x, g)[-1]

    return models.Model(init, apply)


def convolutional(g: Unit) -> models.Model:
    """Two convolutions of 3 × 3 with stride 2, 8 and 16 maps, and a dense layer."""
    small = SIDE // 4

    def init(key: PRNGKey, /) -> Convolutional:
        one, two, three = jax.random.split(key, 3)
        return Convolutional(
            layers.init_convolution(one, (3, 3), 1, MAPS[0]),
            layers.init_convolution(two, (3, 3), *MAPS),
            layers.init_dense(three, small * small * MAPS[1], CLASSES),
        )

    def apply(params: Convolutional, x: Any, /, *, key: Any = None, mask: Any = None) -> Array:
        return convolutional_outputs(params, x, g)[-1]

    return models.Model(init, apply)


def cost_of(model: models.Model, x: Array, y: Array) -> Callable[[Params], Array]:
    """The mean cross-entropy over examples, as a function of the parameters."""
    return lambda params: jnp.mean(outputs.cross_entropy(model.apply(params, x), y).total)


def whole_gradient(
    model: models.Model, params: Params, examples: data.Examples, chunk: int = 1000
) -> tuple[Array, Params]:
    """Mean cross-entropy over all examples and its gradient, so many examples at a time.

    Args:
      model: the network.
      params: of one member.
      examples: images and classes; what is left over after whole chunks is not looked at.
      chunk: examples that are computed at once.
    """
    n = max(1, len(examples.x) // chunk)
    parts = [jnp.asarray(a[: n * chunk]).reshape(n, -1, *a.shape[1:]) for a in examples[:2]]

    def add(total: Any, part: Any) -> tuple[Any, None]:
        found = jax.value_and_grad(cost_of(model, *part))(params)
        return jax.tree.map(jnp.add, total, found), None

    zero = jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, params)
    total, _ = jax.lax.scan(add, zero, tuple(parts))
    return jax.tree.map(lambda a: a / n, total)


def losses_and_norms(
    model: models.Model, params: Params, examples: data.Examples, chunk: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss over all examples and the norm of its gradient, of every member, ``(members,)`` each."""

    def one(p: Params) -> tuple[Array, Array]:
        loss, slope = whole_gradient(model, p, examples, chunk)
        return loss, jnp.sqrt(inner(slope, slope))

    loss, norm = jax.jit(lambda all: jax.lax.map(one, all))(params)
    return np.asarray(loss), np.asarray(norm)
