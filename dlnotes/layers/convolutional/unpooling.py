"""Max-pooling that keeps where each maximum was, and the way back to those places."""

from __future__ import annotations

from itertools import product
from math import log2, prod
from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.typing import Array


class Switched(NamedTuple):
    """What max-pooling gives, and what it leaves out.

    Attributes:
      values: ``(batch, *sizes // window, channels)`` the maxima.
      switches: of the same shape, int32: which position of its window each maximum was at, numbered row by
        row; at a tie the first.
    """

    values: Array
    switches: Array


def switched_max_pool(x: Array, window: int = 2) -> Switched:
    """Max-pooling over windows that do not overlap, with the place of each maximum.

    Args:
      x: ``(batch, *sizes, channels)`` with one to three sizes, which the window divides.
      window: width and stride along every axis.

    Raises:
      ValueError: when the window does not divide the sizes.

    Source: notes C6.13; Zeiler and Fergus, 2014 (switches); Zhao et al., 2015 (what and where).

    Example:
      >>> found = switched_max_pool(jnp.array([1.0, 3.0, 5.0, 4.0]).reshape(1, 4, 1))
      >>> found.values[0, :, 0].tolist(), found.switches[0, :, 0].tolist()
      ([3.0, 5.0], [1, 0])
    """
    if window < 1 or any(m % window or m < window for m in x.shape[1:-1]) or x.ndim < 3:
        raise ValueError(f"window: got {window} for x of shape {x.shape}, allowed is a divisor of the sizes")
    parts = jnp.stack(
        [
            x[(slice(None), *(slice(i, None, window) for i in offset))]
            for offset in product(range(window), repeat=x.ndim - 2)
        ]
    )
    switches = parts.argmax(0).astype(jnp.int32)
    values = jnp.take_along_axis(parts, switches[None], axis=0)[0]
    return Switched(values, switches)


def max_unpool(y: Array, switches: Array, window: int = 2) -> Array:
    """``x`` of the size before pooling: each value at the place that its switch says, 0 elsewhere.

    Args:
      y: ``(batch, *sizes, channels)``.
      switches: of the same shape, as of `switched_max_pool` with the same window.
      window: width along every axis.

    Returns:
      ``(batch, *(window·size), channels)``.

    Raises:
      ValueError: when the shapes differ.

    Source: notes C6.13; Zeiler and Fergus, 2014.

    Example:
      >>> max_unpool(jnp.array([[[7.0], [8.0]]]), jnp.array([[[1], [0]]]))[0, :, 0].tolist()
      [0.0, 7.0, 8.0, 0.0]
    """
    if y.shape != switches.shape or y.ndim < 3:
        raise ValueError(f"switches: got shape {switches.shape}, allowed is that of y, {y.shape}")
    n = y.ndim - 2
    places = jnp.arange(window**n, dtype=switches.dtype)
    hit = switches[..., None] == jnp.expand_dims(places, tuple(range(y.ndim)))
    spread = jnp.where(hit, y[..., None], jnp.zeros((), y.dtype))
    spread = spread.reshape(*y.shape, *(window,) * n)
    order = [0]
    for axis in range(n):
        order += [1 + axis, n + 2 + axis]
    shape = (y.shape[0], *(m * window for m in y.shape[1:-1]), y.shape[-1])
    return spread.transpose(*order, n + 1).reshape(shape)


def switch_bits(sizes: tuple[int, ...], channels: int, window: int = 2) -> float:
    """How many bits the switches of such maps are: ``log₂ window^n`` for each maximum.

    Args:
      sizes: of the maps before pooling.
      channels: of the maps.
      window: of the pooling.

    Source: notes C6.13.

    Example:
      >>> switch_bits((4, 4), 3)
      24.0
    """
    n = len(sizes)
    return prod(m // window for m in sizes) * channels * n * log2(window)
