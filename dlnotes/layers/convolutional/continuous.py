"""The convolution of functions of a real argument, of which the discrete one is a sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlnotes.layers.convolutional.convolution import convolve
from dlnotes.typing import Array


def convolve_functions(
    x: Callable[[Array], Array], w: Callable[[Array], Array], times: Any, *, step: float, reach: float
) -> Array:
    """``s(t) = ∫ x(a) w(t − a) da`` as ``step · Σ_k x(t − k·step) w(k·step)`` over ``|k·step| ≤ reach``.

    The rule of rectangles in the middle: what it misses falls as ``step²`` for smooth functions, faster where
    the functions and all their derivatives vanish at both ends, and as ``step`` where a function jumps.

    Args:
      x: input, a function of an array of arguments, number by number.
      w: kernel, likewise; it is taken as 0 beyond the reach.
      times: ``(n,)`` t, whole multiples of ``step`` apart: a result at each.
      step: distance of two samples, in the unit of t.
      reach: up to where the kernel counts, a multiple of ``step``.

    Returns:
      ``(n,)`` s at the times.

    Raises:
      ValueError: on a step or a reach that is not positive, and on times that are not whole steps apart.

    Source: notes C6.1.

    Example:
      A box of width 1 with itself is a triangle:

      >>> box = lambda t: jnp.where(jnp.abs(t) < 0.5, 1.0, 0.0)
      >>> s = convolve_functions(box, box, jnp.array([0.0, 0.5, 1.0]), step=0.001, reach=1.0)
      >>> [round(float(v), 2) for v in s]
      [1.0, 0.5, 0.0]
    """
    places = np.asarray(times, np.float64)
    if not step > 0:
        raise ValueError(f"step: got {step}, allowed is a positive number")
    taps = round(reach / step)
    if taps < 1 or not np.isclose(taps * step, reach, rtol=1e-6):
        raise ValueError(f"reach: got {reach}, allowed are positive multiples of the step {step}")
    if places.ndim != 1 or places.size == 0:
        raise ValueError(f"times: got shape {places.shape}, allowed is (n,)")
    apart = (places - places.min()) / step
    index = np.rint(apart).astype(int)
    if not np.allclose(apart, index, atol=1e-3):
        raise ValueError(f"times: got {places.tolist()[:4]} …, allowed are whole steps of {step} apart")
    k = np.arange(-taps, taps + 1)
    samples = places.min() + step * np.arange(-taps, taps + index.max() + 1)
    signal = jnp.asarray(x(jnp.asarray(samples, jnp.float32)), jnp.float32)
    kernel = jnp.asarray(w(jnp.asarray(step * k, jnp.float32)), jnp.float32)
    s = convolve(signal[None, :, None], kernel[:, None, None], padding="VALID", flip=True)
    return step * s[0, index, 0]


def averaged_variance(weights: Any, variance: float | Array = 1.0) -> Array:
    """``Var[Σ_k w_k x_k] = σ² Σ_k w_k²``: the noise left in a weighted mean of measurements.

    Each measurement has noise of its own of the same variance. Of all weights with a sum of 1, n equal ones
    leave the least, σ²/n.

    Args:
      weights: w, any shape; every number is the weight of one measurement.
      variance: σ² of one measurement, in its unit squared.

    Returns:
      A number, in the unit of ``variance``.

    Source: notes C6.1 (a convolution as a weighted mean of measurements).

    Example:
      >>> float(averaged_variance(jnp.full(4, 0.25), 2.0))
      0.5
    """
    w = jnp.asarray(weights)
    return jnp.asarray(variance, w.dtype) * jnp.square(w).sum()
