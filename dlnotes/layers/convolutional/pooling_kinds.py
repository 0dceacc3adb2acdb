"""More ways to pool: weighted by distance, to a fixed grid, over channels; and the way back up."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlnotes.checks import chosen
from dlnotes.layers.convolutional.convolution_variants import depthwise
from dlnotes.layers.convolutional.pooling import Window, window_geometry
from dlnotes.layers.feedforward.maxout import maxout
from dlnotes.typing import Array


def distance_weighted_pool(
    x: Array, window: Window = 3, stride: Window | None = None, padding: str = "VALID", *, width: float = 1.0
) -> Array:
    """``y = Σ w_d x / Σ w_d`` over each window, ``w_d = exp(−d²/2s²)`` at distance d from its centre.

    At the edge both sums are over what lies inside.

    Args:
      x: ``(batch, *sizes, channels)`` with one to three sizes.
      window, stride, padding: as of `max_pool`.
      width: s, in positions.

    Returns:
      ``(batch, *new sizes, channels)``.

    Raises:
      ValueError: on arguments that do not fit.

    Source: notes C6.7.
    """
    windows, strides, pads = window_geometry(x, window, stride, padding)
    if not width > 0:
        raise ValueError(f"width: got {width}, allowed is a positive number of positions")
    weights = np.ones(())
    for w in windows:
        offset = np.arange(w) - (w - 1) / 2
        weights = weights[..., None] * np.exp(-(offset**2) / (2 * width**2))
    kernel = jnp.asarray(weights / weights.sum(), x.dtype)[..., None, None]
    how: dict[str, Any] = {"stride": strides, "padding": pads}
    sums = depthwise(x, jnp.broadcast_to(kernel, (*weights.shape, x.shape[-1], 1)), **how)
    if not any(map(any, pads)):
        return sums
    inside = depthwise(jnp.ones((1, *x.shape[1:-1], 1), x.dtype), kernel, **how)
    return sums / jnp.broadcast_to(inside, sums.shape)


def adaptive_pool(x: Array, grid: int | Sequence[int], kind: str = "max") -> Array:
    """Pool any size to a fixed grid: cell i of g takes the positions ``⌊i·m/g⌋ … ⌈(i + 1)·m/g⌉ − 1``.

    Args:
      x: ``(batch, *sizes, channels)``.
      grid: cells along each axis, one number for all or one per axis; at most the size.
      kind: "max", "mean" or "l2" (``sqrt Σ x²``).

    Returns:
      ``(batch, *grid, channels)``.

    Raises:
      ValueError: when a grid is finer than the input or ``kind`` is unknown.

    Source: notes C6.11 (b).

    Example:
      >>> adaptive_pool(jnp.arange(5.0).reshape(1, 5, 1), 2)[0, :, 0]
      Array([2., 4.], dtype=float32)
    """
    reduce = chosen("kind", kind, {"max": jnp.max, "mean": jnp.mean, "l2": jnp.sum})
    sizes = x.shape[1:-1]
    cells = (grid,) * len(sizes) if isinstance(grid, int) else tuple(grid)
    if len(cells) != len(sizes) or any(not 1 <= g <= m for g, m in zip(cells, sizes)):
        raise ValueError(f"grid: got {grid}, allowed are 1 to {sizes} cells along the axes")
    y = x * x if kind == "l2" else x
    for axis, (m, g) in enumerate(zip(sizes, cells), start=1):
        parts = [
            reduce(jnp.take(y, np.arange(i * m // g, ceil((i + 1) * m / g)), axis), axis=axis, keepdims=True)
            for i in range(g)
        ]
        y = jnp.concatenate(parts, axis)
    if kind != "l2":
        return y
    nonzero = y > 0  # the gradient of the root at 0 is taken to be 0
    return jnp.where(nonzero, jnp.sqrt(jnp.where(nonzero, y, jnp.ones_like(y))), jnp.zeros_like(y))


def channel_max_pool(x: Array, group: int) -> Array:
    """The largest of each ``group`` consecutive channels, place by place: convolutional maxout.

    Args:
      x: ``(..., channels)``.
      group: k, which must divide the channels.

    Returns:
      ``(..., channels / group)``.

    Raises:
      ValueError: when it does not.

    Source: notes C6.9.
    """
    return maxout(x, group)


def upsample(x: Array, factor: Window = 2, method: str = "nearest") -> Array:
    """Enlarge a grid: every position repeated, or "linear" in between them.

    Args:
      x: ``(batch, *sizes, channels)``.
      factor: how many times larger, one number for all axes or one per axis.
      method: "nearest" or "linear" (the corners' half positions repeat the edge).

    Returns:
      ``(batch, *(factor·size), channels)``.

    Raises:
      ValueError: on a factor or method that is not allowed.

    Source: notes C7.1.
    """
    chosen("method", method, {"nearest": None, "linear": None})
    n = x.ndim - 2
    factors = (factor,) * n if isinstance(factor, int) else tuple(factor)
    if len(factors) != n or any(f < 1 for f in factors):
        raise ValueError(f"factor: got {factor}, allowed is a positive integer or {n} of them")
    y = x
    for axis, f in enumerate(factors, start=1):
        y = _repeated(y, f, axis) if method == "nearest" else _between(y, f, axis)
    return y


def _repeated(x: Array, factor: int, axis: int) -> Array:
    # Broadcast and reshape: the gradient is then a sum, where that of a repeat is a scatter.
    shape = (*x.shape[: axis + 1], factor, *x.shape[axis + 1 :])
    wide = jnp.broadcast_to(jnp.expand_dims(x, axis + 1), shape)
    return wide.reshape(*x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :])


def _between(x: Array, factor: int, axis: int) -> Array:
    """Linear interpolation with half-pixel centres, as one product with a small matrix."""
    m = x.shape[axis]
    place = np.clip((np.arange(m * factor) + 0.5) / factor - 0.5, 0, m - 1)
    low = np.minimum(place.astype(int), max(m - 2, 0))
    weights = np.zeros((m * factor, m), np.float32)
    rows = np.arange(m * factor)
    weights[rows, np.minimum(low + 1, m - 1)] += place - low
    weights[rows, low] += 1 - (place - low)
    mixed = jnp.tensordot(jnp.asarray(weights, x.dtype), x, axes=[[1], [axis]])
    return jnp.moveaxis(mixed, 0, axis)
