"""Hidden units that nobody published as such, and the rectifier with any derivative at its kink.

They are not in the table of names that configs know; a network of them is a graph whose nodes are functions:

  >>> import jax
  >>> from dlnotes import models
  >>> net = models.graph(3, [
  ...     models.Layer("z", ["x"], 8), models.Function("h", ["z"], cosine), models.Layer("y", ["h"], 2)])
  >>> net.apply(net.init(jax.random.key(0)), jax.numpy.ones((5, 3))).shape
  (5, 2)
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.typing import Array, PRNGKey


def cosine(z: Array) -> Array:
    """``g(z) = cos z``. Source: Goodfellow et al., 2016, 6.3.3; notes F3.12."""
    return jnp.cos(z)


def odd_bump(z: Array) -> Array:
    """``g(z) = z·e^{−z²}``, which is 0 far from 0; largest at ``z = 1/√2``. Source: notes F3.12."""
    return z * jnp.exp(-jnp.square(z))


def sine_plus(z: Array) -> Array:
    """``g(z) = z + sin z``, a rising staircase without jumps. Source: notes F3.12."""
    return z + jnp.sin(z)


def erf(z: Array) -> Array:
    """The error function ``g(z) = 2/√π ∫₀ᶻ e^{−t²} dt``, a sigmoid in ``(−1, 1)``. Source: notes F3.12."""
    return jax.scipy.special.erf(z)


def relu_with_slope(z: Array, at_zero: Array) -> Array:
    """``g(z) = max(0, z)`` with ``g'(0) = at_zero``; everywhere else it is `relu` and its derivative.

    Any value in [0, 1] is a subgradient; 0 and 1 are the derivatives from the left and from the right.

    Args:
      z: any shape.
      at_zero: ``()``; it may be traced.

    Example:
      >>> from dlnotes import layers
      >>> float(jax.grad(layers.relu_with_slope)(0.0, 0.5)), float(layers.relu_with_slope(0.0, 0.5))
      (0.5, 0.0)

    Source: notes F3.11.
    """
    at_zero = jnp.broadcast_to(at_zero.astype(z.dtype), z.shape)
    return jnp.where(z > 0, z, jnp.where(z == 0, at_zero * z, jnp.zeros_like(z)))


class SmoothUnit(NamedTuple):
    """A function of one number, ``g(z) = √(2/m) Σ_i cos(frequencies_i z + phases_i)``.

    Attributes:
      frequencies: ``(m,)``.
      phases: ``(m,)``.
    """

    frequencies: Array
    phases: Array


def init_smooth_unit(key: PRNGKey, waves: int = 8, length: float = 1.0) -> SmoothUnit:
    """A random smooth function: its values at z and z' have the covariance ``e^{−(z − z')² / (2 length²)}``.

    Mean 0 and variance 1 at every z, over functions; with many waves it is a draw of a Gaussian process.

    Args:
      key: of the draw.
      waves: m, the number of cosines.
      length: over which the function changes; positive.

    Raises:
      ValueError: when there is no wave, or the length is not positive.

    Source: Rahimi and Recht, 2007; notes F3.12.
    """
    positive(waves=waves)
    if isinstance(length, (int, float)) and not length > 0:
        raise ValueError(f"length: got {length}, allowed is a positive number")
    first, second = jax.random.split(key)
    frequencies = jax.random.normal(first, (waves,)) / length
    return SmoothUnit(frequencies, jax.random.uniform(second, (waves,), maxval=2 * jnp.pi))


def smooth_unit(params: SmoothUnit, z: Array) -> Array:
    """``g(z)`` of a `SmoothUnit`, element by element.

    Args:
      params: `SmoothUnit`.
      z: any shape.

    Example:
      >>> flat = SmoothUnit(jnp.zeros(2), jnp.zeros(2))  # √(2/2) · (cos 0 + cos 0)
      >>> smooth_unit(flat, jnp.array([-1.0, 3.0]))
      Array([2., 2.], dtype=float32)
    """
    waves = params.frequencies.shape[0]
    # One wave at a time: all at once would need so many times the memory of z.
    total = jnp.zeros_like(z)
    for i in range(waves):
        frequency, phase = (jnp.broadcast_to(a[i], z.shape) for a in params)
        total = total + jnp.cos(frequency * z + phase)
    return (2 / waves) ** 0.5 * total
