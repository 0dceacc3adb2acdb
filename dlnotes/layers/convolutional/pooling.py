"""Pooling: one number for each window, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil, prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from dlnotes.checks import chosen
from dlnotes.layers.convolutional.convolution_variants import depthwise
from dlnotes.layers.feedforward.maxout import maxout
from dlnotes.typing import Array

# Up to this many positions a window is written out as slices; above, the window operation is used.
_WRITTEN_OUT = 16

Window = int | Sequence[int]


def max_pool(x: Array, window: Window = 2, stride: Window | None = None, padding: str = "VALID") -> Array:
    """``y = max of x over each window``.

    Small windows that do not overlap (``stride == window``, "VALID") are computed as maxima of pairs,
    on CPU about 15 times faster with its gradient than the general window operation. At a tie
    each maximum of two halves the gradient between its two arguments (the shares are ≥ 0 and sum
    to 1: a subgradient); the general path gives all of it to the first. Without ties they agree.

    Args:
      x: ``(batch, *sizes, channels)`` with any number of sizes.
      window: width of the window, one for all axes or one per axis.
      stride: step between windows; by default the window.
      padding: what happens to a smaller window at the edge: "VALID" drops it, "EDGE" keeps the one
        at the end, "SAME" centers the windows so that ⌈size / stride⌉ come out. What lies
        outside is never the maximum.

    Returns:
      ``(batch, *new sizes, channels)``.

    Raises:
      ValueError: on windows, strides or paddings that do not fit.

    Source: notes C6.7.
    """
    windows, strides, pads = window_geometry(x, window, stride, padding)
    if _disjoint(windows, strides, padding):
        return _pairwise(jnp.maximum, _slices(x, windows))
    # A host constant: the window operation has a gradient only when its start is known while tracing.
    lowest = -np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return _reduce(x, np.array(lowest, x.dtype), lax.max, windows, strides, pads)


def avg_pool(x: Array, window: Window = 2, stride: Window | None = None, padding: str = "VALID") -> Array:
    """``y = mean of x over each window``; at the edge the mean of what lies inside.

    Args and errors: as `max_pool`.
    """
    windows, strides, pads = window_geometry(x, window, stride, padding)
    if _disjoint(windows, strides, padding):
        return _pairwise(jnp.add, _slices(x, windows)) / prod(windows)
    sums = _reduce(x, np.zeros((), x.dtype), lax.add, windows, strides, pads)
    if padding == "VALID":
        return sums / prod(windows)
    # How many positions of each window are real: a product of the counts along each axis.
    counts = np.ones(())
    for size, w, s, pad, out in zip(x.shape[1:-1], windows, strides, pads, sums.shape[1:-1]):
        start = np.arange(out) * s - pad[0]
        inside = np.minimum(start + w, size) - np.maximum(start, 0)
        counts = counts[..., None] * inside
    return sums / jnp.broadcast_to(jnp.asarray(counts, x.dtype)[None, ..., None], sums.shape)


def l2_pool(x: Array, window: Window = 2, stride: Window | None = None, padding: str = "VALID") -> Array:
    """``y = sqrt(Σ x²)`` over each window; the gradient at 0 is 0.

    Args and errors: as `max_pool`.
    """
    windows, strides, pads = window_geometry(x, window, stride, padding)
    sums = _reduce(x * x, np.zeros((), x.dtype), lax.add, windows, strides, pads)
    positive = sums > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, sums, jnp.ones_like(sums))), jnp.zeros_like(sums))


def global_avg_pool(x: Array) -> Array:
    """``y[c] = mean of x[..., c]`` over all positions: (batch, *sizes, channels) to (batch, channels)."""
    return x.mean(tuple(range(1, x.ndim - 1)))


def window_geometry(
    x: Array, window: Window, stride: Window | None, padding: str
) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    """Window, stride and (before, after) padding along each axis of ``x``; arguments as of `max_pool`.

    Raises:
      ValueError: on windows, strides or paddings that do not fit.
    """
    n = x.ndim - 2
    if n < 1:
        raise ValueError(f"x: got shape {x.shape}, allowed is (batch, at least one size, channels)")
    sizes = x.shape[1:-1]
    windows = _per_axis("window", window, n)
    strides = windows if stride is None else _per_axis("stride", stride, n)
    if padding == "EDGE":
        pads = [(0, _beyond(m, w, s)) for m, w, s in zip(sizes, windows, strides)]
    elif padding in ("SAME", "VALID"):
        pads = list(lax.padtype_to_pads(sizes, windows, strides, padding))
    else:
        raise ValueError(f"padding: got {padding!r}, allowed are 'VALID', 'EDGE', 'SAME'")
    if padding == "VALID" and any(w > m for w, m in zip(windows, sizes)):
        raise ValueError(f"window: got {windows}, larger than the input {sizes}")
    return windows, strides, pads


def _beyond(size: int, window: int, stride: int) -> int:
    """How far the last window reaches past the end; a window that would begin there does not count."""
    last = max(0, -(-(size - window) // stride) * stride)
    if last >= size:
        last -= stride
    return max(0, last + window - size)


def _per_axis(name: str, value: Window, n: int) -> tuple[int, ...]:
    values = (value,) * n if isinstance(value, int) else tuple(value)
    if len(values) != n or any(v < 1 for v in values):
        raise ValueError(f"{name}: got {value}, allowed is a positive integer or {n} of them")
    return values


def _disjoint(windows: tuple[int, ...], strides: tuple[int, ...], padding: str) -> bool:
    return windows == strides and padding == "VALID" and prod(windows) <= _WRITTEN_OUT


def _slices(x: Array, windows: tuple[int, ...]) -> list[Array]:
    """For each position within the window, what all windows have there."""
    ends = [m // w * w for m, w in zip(x.shape[1:-1], windows)]
    return [
        x[(slice(None), *(slice(i, end, w) for i, end, w in zip(offset, ends, windows)))]
        for offset in product(*(range(w) for w in windows))
    ]


def _pairwise(combine: Callable[[Array, Array], Array], parts: list[Array]) -> Array:
    while len(parts) > 1:
        left_over = parts[len(parts) // 2 * 2 :]
        parts = [combine(a, b) for a, b in zip(parts[::2], parts[1::2])] + left_over
    return parts[0]


def _reduce(x: Array, start, combine, windows, strides, pads) -> Array:
    return lax.reduce_window(x, start, combine, (1, *windows, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def distance_weighted_pool(
    x: Array, window: Window = 3, stride: Window | None = None, padding: str = "VALID", *, width: float = 1.0
) -> Array:
    """``y = Σ w_d x / Σ w_d`` over each window, ``w_d = exp(−d²/2s²)`` at distance d from its center.

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
      >>> adaptive_pool(jnp.arange(5.0).reshape(1, 5, 1), (2,))[0, :, 0]
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
    """Linear interpolation with half-pixel centers, as one product with a small matrix."""
    m = x.shape[axis]
    place = np.clip((np.arange(m * factor) + 0.5) / factor - 0.5, 0, m - 1)
    low = np.minimum(place.astype(int), max(m - 2, 0))
    weights = np.zeros((m * factor, m), np.float32)
    rows = np.arange(m * factor)
    weights[rows, np.minimum(low + 1, m - 1)] += place - low
    weights[rows, low] += 1 - (place - low)
    mixed = jnp.tensordot(jnp.asarray(weights, x.dtype), x, axes=[[1], [axis]])
    return jnp.moveaxis(mixed, 0, axis)
