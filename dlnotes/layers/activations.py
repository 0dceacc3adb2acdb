"""Hidden units ``g(z)``, applied element by element, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen
from dlnotes.typing import Array


def relu(z: Array) -> Array:
    """Rectified linear unit ``g(z) = max(0, z)``, with the convention ``g'(0) = 0``.

    Source: notes, hidden units (F3.1).
    """
    return jax.nn.relu(z)


def leaky_relu(z: Array, alpha: float = 0.01) -> Array:
    """Leaky ReLU ``g(z) = max(0, z) + α·min(0, z)`` with a fixed slope; ``g'(0) = α``.

    Source: Maas et al., 2013; notes F3.2.
    """
    return jnp.where(z > 0, z, jnp.asarray(alpha, z.dtype) * z)


def prelu(z: Array, alpha: Array) -> Array:
    """Parametric ReLU ``g(z)_i = max(0, z_i) + α_i·min(0, z_i)`` with learned slopes.

    Args:
      z: ``(..., n)``.
      alpha: ``(n,)``, one slope per unit, or ``()``, one for all.

    Source: He et al., 2015; notes F3.2.
    """
    return jnp.where(z > 0, z, jnp.broadcast_to(alpha, z.shape) * z)


def absolute(z: Array) -> Array:
    """Absolute value rectification ``g(z) = |z|``, with ``g'(0) = 0``.

    Source: Jarrett et al., 2009; notes F3.2.
    """
    # As a product: the derivative of the library's abs at 0 is 1.
    return z * jnp.sign(z)


def sigmoid(z: Array) -> Array:
    """Logistic sigmoid ``σ(z) = 1 / (1 + e^{−z})``."""
    return jax.nn.sigmoid(z)


def tanh(z: Array) -> Array:
    """Hyperbolic tangent, ``tanh z = 2σ(2z) − 1``."""
    return jnp.tanh(z)


def hard_tanh(z: Array) -> Array:
    """``g(z) = max(−1, min(1, z))``. Source: Collobert, 2004; notes F3.9."""
    return jax.nn.hard_tanh(z)


def softplus(z: Array) -> Array:
    """``ζ(z) = log(1 + e^z)``, without overflow. Source: Dugas et al., 2001; notes F3.9."""
    return jax.nn.softplus(z)


def gelu(z: Array) -> Array:
    """``g(z) = z·Φ(z)`` with the exact normal distribution function. Source: Hendrycks and Gimpel, 2016."""
    return jax.nn.gelu(z, approximate=False)


def silu(z: Array) -> Array:
    """``g(z) = z·σ(z)``. Source: Elfwing et al., 2018."""
    return jax.nn.silu(z)


def elu(z: Array) -> Array:
    """``g(z) = z`` for z > 0, else ``e^z − 1``. Source: Clevert et al., 2016."""
    return jax.nn.elu(z)


def identity(z: Array) -> Array:
    """``g(z) = z``: a linear layer (notes F3.6)."""
    return z


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "abs": absolute,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hard_tanh": hard_tanh,
    "softplus": softplus,
    "gelu": gelu,
    "silu": silu,
    "elu": elu,
    "identity": identity,
}
"""Activations without parameters, by name. (`prelu` has learned slopes: see ``models.mlp``.)"""

MONOTONE = frozenset({"relu", "leaky_relu", "sigmoid", "tanh", "hard_tanh", "softplus", "elu", "identity"})
"""Those that never decrease, for which ``g(max z) = max g(z)``: pooling may come first, and is cheaper."""


def activation(name: str) -> Callable[[Array], Array]:
    """The activation called ``name``.

    Raises:
      ValueError: when the table has no such name.
    """
    return chosen("activation", name, ACTIVATIONS)


def gate(z: Array) -> Array:
    """The sigmoid of a gate, ``σ(z) = ½ tanh(½ z) + ½``: compilers have faster code for it than for e^{−z}.

    Right to a rounding of 1, so that a σ below it is 0.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> bool(jnp.allclose(gate(jnp.array([-3.0, 2.0])), jax.nn.sigmoid(jnp.array([-3.0, 2.0]))))
      True
    """
    return 0.5 * jnp.tanh(0.5 * z) + 0.5
