"""The derivative of every element-wise function, written out, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen
from dlnotes.layers.activations import ACTIVATIONS
from dlnotes.typing import Array


def relu_derivative(z: Array) -> Array:
    """1 where z > 0, else 0 (also at 0)."""
    return jnp.where(z > 0, 1, 0).astype(z.dtype)


def leaky_relu_derivative(z: Array, alpha: float = 0.01) -> Array:
    """1 where z > 0, else α."""
    return jnp.where(z > 0, 1.0, alpha).astype(z.dtype)


def sigmoid_derivative(z: Array) -> Array:
    """``σ(z)(1 − σ(z))``."""
    s = jax.nn.sigmoid(z)
    return s * (1 - s)


def tanh_derivative(z: Array) -> Array:
    """``1 − tanh² z``."""
    return 1 - jnp.square(jnp.tanh(z))


def hard_tanh_derivative(z: Array) -> Array:
    """1 where |z| ≤ 1, else 0."""
    return jnp.where(jnp.abs(z) <= 1, 1, 0).astype(z.dtype)


def gelu_derivative(z: Array) -> Array:
    """``Φ(z) + z φ(z)``, with the normal distribution function and density."""
    return jax.scipy.stats.norm.cdf(z) + z * jax.scipy.stats.norm.pdf(z)


def silu_derivative(z: Array) -> Array:
    """``σ(z) + z σ(z)(1 − σ(z))``."""
    return jax.nn.sigmoid(z) + z * sigmoid_derivative(z)


def elu_derivative(z: Array) -> Array:
    """1 where z > 0, else ``e^z``."""
    return jnp.exp(jnp.minimum(z, 0))


ELEMENTWISE: dict[str, Callable[[Array], Array]] = ACTIVATIONS | {
    "negative": jnp.negative,
    "exp": jnp.exp,
    "log": jnp.log,
    "square": jnp.square,
}
"""Functions applied element by element, by name: the activations and four more."""

DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "relu": relu_derivative,
    "leaky_relu": leaky_relu_derivative,
    "abs": jnp.sign,
    "sigmoid": sigmoid_derivative,
    "tanh": tanh_derivative,
    "hard_tanh": hard_tanh_derivative,
    "softplus": jax.nn.sigmoid,
    "gelu": gelu_derivative,
    "silu": silu_derivative,
    "elu": elu_derivative,
    "identity": jnp.ones_like,
    "negative": lambda z: -jnp.ones_like(z),
    "exp": jnp.exp,
    "log": lambda z: 1 / z,
    "square": lambda z: 2 * z,
}
"""``g'`` for the functions ``g`` of `ELEMENTWISE`, by the same names."""


def derivative(name: str) -> Callable[[Array], Array]:
    """The derivative ``g'(z)``, element by element, of the function called ``name``.

    Raises:
      ValueError: when the table has no such name.

    Source: notes F5.3, the factor ``f'(a)`` of the backward pass.

    Example:
      >>> derivative("square")(jnp.array([0.0, 1.5]))
      Array([0., 3.], dtype=float32)
    """
    return chosen("name", name, DERIVATIVES)
