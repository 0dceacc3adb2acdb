"""Maxout units: the activation function itself is learned, piece by piece."""

from __future__ import annotations

from dlnotes.layers.feedforward.dense import Dense, dense
from dlnotes.typing import Array


def maxout(z: Array, k: int) -> Array:
    """``g(z)_i = max over j in group i of z_j``, groups of ``k`` consecutive entries of the last axis.

    Where several pieces tie for the maximum each gets an equal share of the gradient (for two
    pieces the midpoint of the subdifferential). For images the last axis is the channels, which
    makes it convolutional maxout.

    Args:
      z: ``(..., n)`` pre-activations.
      k: pieces per unit; it must divide ``n``.

    Returns:
      ``(..., n // k)``.

    Raises:
      ValueError: when ``k`` is not a positive divisor of ``n``.

    Example:
      >>> maxout(jnp.array([1.0, 5.0, -2.0, -1.0]), k=2)
      Array([ 5., -1.], dtype=float32)

    Source: Goodfellow et al., 2013; notes F3.3.
    """
    n = z.shape[-1]
    if k < 1 or n % k:
        raise ValueError(f"k: got {k} for {n} pre-activations, allowed are the positive divisors of {n}")
    return z.reshape(*z.shape[:-1], n // k, k).max(-1)


def dense_maxout(params: Dense, x: Array, k: int) -> Array:
    """A layer of maxout units, ``h_i = max_j (x W + b)_{ik+j}``.

    Args:
      params: `Dense` with ``W`` (inputs, units·k) and ``b`` (units·k,).
      x: ``(..., inputs)``.
      k: pieces per unit.

    Returns:
      ``(..., units)``.
    """
    return maxout(dense(params, x), k)
