"""The logistic sigmoid's inverse and its identities: ``1 − σ(z) = σ(−z)`` and ``σ' = σ(1 − σ)``.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.7); Goodfellow et al. 2016, 3.10.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.typing import Array


def logit(p: Array) -> Array:
    """``σ⁻¹(p) = log p − log(1 − p)``: the pre-activation of a probability.

    Args:
      p: any shape, in [0, 1]; 0 and 1 give minus and plus infinity, what is outside gives NaN.

    Example:
      >>> logit(jnp.array([0.5, 0.9])).round(4)
      Array([0.    , 2.1972], dtype=float32)
    """
    return jnp.log(p) - jnp.log1p(-p)


def complement(z: Array) -> Array:
    """``1 − σ(z) = σ(−z)``, the probability of the other class, exact where 1 − σ(z) would round to 0.

    Args:
      z: any shape, the pre-activation.

    Example:
      >>> float(1 - jax.nn.sigmoid(40.0)), float(complement(jnp.float32(40.0))) > 4e-18
      (0.0, True)
    """
    return jax.nn.sigmoid(-z)


def sigmoid_slope(z: Array) -> Array:
    """``σ'(z) = σ(z) (1 − σ(z)) = σ(z) σ(−z)``: at most ¼, at z = 0, and symmetric.

    Args:
      z: any shape, the pre-activation.

    Example:
      >>> float(sigmoid_slope(jnp.float32(0.0)))
      0.25
    """
    return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)
