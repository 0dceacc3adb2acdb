"""The three stages of a convolutional layer as one: convolution, detector, pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlnotes.checks import chosen
from dlnotes.layers.activations import MONOTONE
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.convolution import Convolution, convolve
from dlnotes.layers.convolutional.pooling import Window, avg_pool, distance_weighted_pool, l2_pool, max_pool
from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.typing import Array

POOLINGS: dict[str, Callable[..., Array]] = {
    "max": max_pool,
    "avg": avg_pool,
    "l2": l2_pool,
    "distance_weighted": distance_weighted_pool,
}
"""Pooling over windows, ``pool(x, window, stride, padding)``, by name."""


def conv_stage(
    params: Convolution,
    x: Array,
    *,
    activation: str = "relu",
    pooling: str = "max",
    window: Window = 2,
    pool_stride: Window | None = None,
    pool_padding: str = "VALID",
    **how: Any,
) -> Array:
    """``y = pool(g(x ∗ K + b))``: linear activations, detector, summary of each neighborhood.

    With max-pooling and an activation that never decreases, the bias and the activation come after the
    pooling: the result is the same and they run on fewer numbers.

    Args:
      params: the kernels and one bias for each map.
      x: ``(batch, *sizes, in)`` with one to three sizes.
      activation: g, a name in ``layers.ACTIVATIONS``.
      pooling: a name in ``layers.POOLINGS``: "max", "avg", "l2" or "distance_weighted".
      window: width of the pooling, one for all axes or one per axis.
      pool_stride: step between two poolings; by default the window.
      pool_padding: a smaller window at the edge is dropped by "VALID" and kept by "EDGE" (see `max_pool`).
      how: stride, padding, dilation, groups, flip of the convolution, as of `convolve`.

    Returns:
      ``(batch, *new sizes, out)``.

    Raises:
      ValueError: on names, sizes or options that are not allowed.

    Source: notes C6.7.

    Example:
      Detectors 1, 0, 3, 0, 5, pooled over three with a stride of two:

      >>> import jax.numpy as jnp
      >>> same = Convolution(jnp.ones((1, 1, 1)), jnp.zeros(1))
      >>> x = jnp.array([1.0, -2.0, 3.0, -4.0, 5.0, -6.0]).reshape(1, 6, 1)
      >>> conv_stage(same, x, window=3, pool_stride=2)[0, :, 0]
      Array([3., 5.], dtype=float32)
      >>> conv_stage(same, x, window=3, pool_stride=2, pool_padding="EDGE")[0, :, 0]
      Array([3., 5., 5.], dtype=float32)
    """
    g = activation_named(activation)
    pool = chosen("pooling", pooling, POOLINGS)
    z = convolve(x, params.K, **how)
    if pooling == "max" and activation in MONOTONE:
        return g(add_bias(pool(z, window, pool_stride, pool_padding), params.b))
    return pool(g(add_bias(z, params.b)), window, pool_stride, pool_padding)
