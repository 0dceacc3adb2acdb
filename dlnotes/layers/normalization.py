"""Normalization of a layer's values, example by example."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from dlnotes.typing import Array


class LayerNorm(NamedTuple):
    """Parameters of ``y = γ (x − mean) / sqrt(variance + ε) + β``, mean and variance of each example.

    Attributes:
      scale: ``(n,)``, γ, one per unit or channel.
      shift: ``(n,)``, β.
    """

    scale: Array
    shift: Array


def layer_norm(params: LayerNorm, x: Array, *, axes: tuple[int, ...] = (-1,), epsilon: float = 1e-5) -> Array:
    """Layer normalization over ``axes`` of each example; equation: `LayerNorm`.

    Statistics are taken in float32 whatever the dtype of ``x``.

    Args:
      params: `LayerNorm` of the size of the last axis.
      x: ``(batch, ..., n)``.
      axes: the axes normalized together: the last one, or all but the batch for images.
      epsilon: ε.

    Returns:
      An array of the shape and dtype of ``x``.

    Source: Ba et al., 2016.
    """
    wide = x.astype(jnp.float32)
    centerd = wide - wide.mean(axes, keepdims=True)
    y = centerd * lax.rsqrt((centerd**2).mean(axes, keepdims=True) + epsilon)
    y = y.astype(x.dtype)
    return y * jnp.broadcast_to(params.scale, x.shape) + jnp.broadcast_to(params.shift, x.shape)
