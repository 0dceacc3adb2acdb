"""The affine layer."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.layers.initializers import initializer as rule
from dlnotes.typing import Array, PRNGKey, Weight


class Dense(NamedTuple):
    """Parameters of ``z = x W + b``.

    Attributes:
      W: ``(inputs, outputs)``.
      b: ``(outputs,)``.
    """

    W: Weight
    b: Weight


def add_bias(z: Array, b: Weight) -> Array:
    """``z + b`` with one bias per unit of the last axis (``z``: (..., n), ``b``: (n,))."""
    return z + jnp.broadcast_to(b, z.shape)


def dense(params: Dense, x: Array) -> Array:
    """Affine map of the last axis, ``z = x W + b``.

    Args:
      params: `Dense`.
      x: ``(..., inputs)``, of the dtype of ``W``.

    Returns:
      ``(..., outputs)``.

    Raises:
      ValueError: when the last axis of ``x`` is not ``inputs``.
    """
    if x.shape[-1] != params.W.shape[0]:
        raise ValueError(
            f"x: got {x.shape[-1]} features, W of shape {params.W.shape} takes {params.W.shape[0]}"
        )
    return add_bias(x @ params.W, params.b)


def init_dense(
    key: PRNGKey,
    inputs: int,
    outputs: int,
    *,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    bias: float = 0.0,
) -> Dense:
    """`Dense` with ``W`` (inputs, outputs) drawn by ``initializer`` times ``init_scale``, ``b = bias``."""
    W = rule(initializer, init_scale)(key, (inputs, outputs))
    return Dense(W, jnp.full((outputs,), bias, jnp.float32))
