"""The largest or the mean value around each position, for maps that keep their size."""

from __future__ import annotations

from functools import reduce
from typing import Literal

import jax.numpy as jnp
from jax import lax

from dlnotes.checks import chosen
from dlnotes.layers.convolutional.masked import only
from dlnotes.layers.convolutional.pooling import avg_pool
from dlnotes.typing import Array


def neighborhood_pool(
    x: Array, window: int = 3, kind: Literal["max", "average"] = "max", *, mask: Array | None = None
) -> Array:
    """``y = max (or mean) of x over the window around each position``: pooling with a stride of one.

    At an edge, and where a mask ends the example, only what is inside counts. The largest value is found
    along one axis after another, by shifts: for three positions two comparisons an axis, with a gradient
    that is as cheap (at a tie it is shared).

    Args:
      x: ``(batch, *sizes, channels)`` with one to three sizes.
      window: width along every axis; odd, so that the position is its middle.
      kind: "max" or "average".
      mask: ``(batch, *sizes)``, True where a position is real, or ``None``.

    Returns:
      The shape of ``x``; 0 where the mask is False.

    Raises:
      ValueError: on an even window or an unknown kind.

    Source: notes C6.14, C7.1; Szegedy et al., 2015 (pooling as a branch).

    Example:
      >>> x = jnp.array([1.0, 5.0, 2.0, 0.0, 3.0]).reshape(1, 5, 1)
      >>> neighborhood_pool(x)[0, :, 0]
      Array([5., 5., 5., 3., 3.], dtype=float32)
    """
    chosen("kind", kind, {"max": None, "average": None})
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window: got {window}, allowed is an odd width")
    if kind == "max":
        return only(_largest(x, window, mask), mask)
    ones = (1,) * (x.ndim - 2)
    mean = avg_pool(only(x, mask), (window,) * len(ones), ones, "SAME")
    if mask is None:
        return mean
    share = avg_pool(mask[..., None].astype(x.dtype), (window,) * len(ones), ones, "SAME")
    real = jnp.where(mask[..., None], share, jnp.ones_like(share))
    return only(mean / jnp.broadcast_to(real, mean.shape), mask)


def _largest(x: Array, window: int, mask: Array | None) -> Array:
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    lowest = jnp.array(-jnp.inf if floating else jnp.iinfo(x.dtype).min, x.dtype)
    if mask is not None:
        x = jnp.where(mask[..., None], x, lowest)
    reach = window // 2
    for axis in range(1, x.ndim - 1):
        size = x.shape[axis]
        by = [(0, 0, 0)] * x.ndim
        by[axis] = (reach, reach, 0)
        wide = lax.pad(x, lowest, by)
        x = reduce(jnp.maximum, [lax.slice_in_dim(wide, i, i + size, axis=axis) for i in range(window)])
    return x
