"""The restricted Boltzmann machine: its energy and its conditional distributions."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.typing import Array, Weight


class RBMParams(NamedTuple):
    """Parameters of ``E(v, h) = −b·v − c·h − v W h`` over bits v and h.

    Attributes:
      W: ``(visible, hidden)``.
      b: ``(visible,)`` biases of the visible units.
      c: ``(hidden,)`` biases of the hidden units.
    """

    W: Weight
    b: Weight
    c: Weight


def hidden_means(params: RBMParams, v: Array) -> Array:
    """``p(h = 1 | v) = σ(c + v W)``: ``(..., visible)`` to ``(..., hidden)``."""
    return jax.nn.sigmoid(add_bias(v @ params.W, params.c))


def visible_means(params: RBMParams, h: Array) -> Array:
    """``p(v = 1 | h) = σ(b + h Wᵀ)``: ``(..., hidden)`` to ``(..., visible)``."""
    return jax.nn.sigmoid(add_bias(h @ params.W.T, params.b))


def free_energy(params: RBMParams, v: Array) -> Array:
    """``F(v) = −log Σ_h exp(−E(v, h)) = −b·v − Σ ζ(c + v W)``: ``(..., visible)`` to ``(...)``."""
    return -(v @ params.b) - jnp.sum(jax.nn.softplus(add_bias(v @ params.W, params.c)), axis=-1)
