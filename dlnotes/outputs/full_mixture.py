"""Further output units: a mixture of full covariances, and one precision for all outputs.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.2, F2.9, F2.10).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from dlnotes.checks import positive
from dlnotes.outputs.distributions import LOG_2PI, Categorical, DiagonalNormal
from dlnotes.outputs.losses import PerExample, likelihood
from dlnotes.typing import Array, PRNGKey

_TINY = 1e-30


class FullMixture(NamedTuple):
    """``p(y) = Σ_i π_i N(y; μ_i, Σ_i)`` with full ``Σ_i = (U_iᵀU_i)⁻¹`` and ``π = softmax(logits)``.

    The factor is that of the precision: the density is products alone, no system is solved for it.

    Attributes:
      logits: ``(..., n)`` of the component that a vector comes from.
      location: ``(..., n, d)`` μ.
      factor: ``(..., n, d, d)`` U, lower triangular with a positive diagonal: one for each covariance.
    """

    logits: Array
    location: Array
    factor: Array

    def component_log_prob(self, y: Array) -> Array:
        """``log π_i − ½ ‖U_i(y − μ_i)‖² + Σ_j log U_ijj − ½ d log 2π`` of each component, ``(..., n)``."""
        z = jnp.einsum("...ij,...j->...i", self.factor, y[..., None, :] - self.location)
        log_volume = jnp.sum(jnp.log(jnp.diagonal(self.factor, axis1=-2, axis2=-1)), axis=-1)
        each = log_volume - 0.5 * jnp.sum(z * z, axis=-1) - 0.5 * self.location.shape[-1] * LOG_2PI
        return jax.nn.log_softmax(self.logits) + each

    def log_prob(self, y: Array) -> Array:
        """``log Σ_i π_i N(y; μ_i, Σ_i)`` without leaving the logarithm, shape ``(...)``."""
        return jax.nn.logsumexp(self.component_log_prob(y), axis=-1)

    def responsibilities(self, y: Array) -> Array:
        """How probable it is that each component made ``y``: ``(..., n)``, summing to 1."""
        return jax.nn.softmax(self.component_log_prob(y), axis=-1)

    def sample(self, key: PRNGKey) -> Array:
        """A component, then ``μ + U⁻¹z`` with standard normal z, ``(..., d)``."""
        key_component, key_noise = jax.random.split(key)
        component = Categorical(self.logits).sample(key_component)
        chosen = jax.nn.one_hot(component, self.logits.shape[-1], dtype=self.location.dtype)
        location = jnp.einsum("...n,...nd->...d", chosen, self.location)
        factor = jnp.einsum("...n,...nde->...de", chosen, self.factor)
        z = jax.random.normal(key_noise, location.shape, location.dtype)
        wide = factor.astype(jnp.float32), z.astype(jnp.float32)[..., None]  # the solve has no narrower kind
        return location + solve_triangular(*wide, lower=True)[..., 0].astype(location.dtype)

    @property
    def mean(self) -> Array:
        """``Σ_i π_i μ_i``, ``(..., d)``; it may lie where the density is low."""
        return jnp.sum(jax.nn.softmax(self.logits)[..., None] * self.location, axis=-2)

    @property
    def mode(self) -> Array:
        """The component mean of the highest density, ``(..., d)``: a mode where components lie apart."""
        means = jnp.moveaxis(self.location, -2, 0)
        density = jax.vmap(self.log_prob)(means)
        best = jax.nn.one_hot(jnp.argmax(density, axis=0), len(means), axis=0, dtype=means.dtype)
        return jnp.sum(best[..., None] * means, axis=0)

    @property
    def component_covariance(self) -> Array:
        """``Σ_i = (U_iᵀU_i)⁻¹``, ``(..., n, d, d)``."""
        eye = jnp.broadcast_to(jnp.eye(self.factor.shape[-1], dtype=self.factor.dtype), self.factor.shape)
        inverse = solve_triangular(self.factor, eye, lower=True)
        return jnp.einsum("...ij,...kj->...ik", inverse, inverse)

    @property
    def covariance(self) -> Array:
        """``Σ_i π_i (Σ_i + (μ_i − mean)(μ_i − mean)ᵀ)``, ``(..., d, d)``."""
        apart = self.location - self.mean[..., None, :]
        each = self.component_covariance + apart[..., :, None] * apart[..., None, :]
        return jnp.sum(jax.nn.softmax(self.logits)[..., None, None] * each, axis=-3)

    @property
    def variance(self) -> Array:
        """The diagonal of the covariance, ``(..., d)``."""
        return jnp.diagonal(self.covariance, axis1=-2, axis2=-1)


def full_mixture(raw: Array, components: int, outputs: int = 1, *, floor: float = 0.0) -> FullMixture:
    """A mixture density whose components have full covariances: the notes' tensor ``Σ⁽ⁱ⁾(x)``.

    Diagonals are ``U_jj = 1/(ζ(·) + floor)``; below them the numbers are free. With 0 there, it is `mixture`
    of the other numbers.

    Args:
      raw: ``(..., n(1 + 2d + d(d − 1)/2))``: the logits, the means, the deviations, then the numbers below
        the diagonals row by row, component by component.
      components: n.
      outputs: d.
      floor: least deviation along the axes of U; 0 leaves the likelihood without a bound.

    Raises:
      ValueError: when the last axis has another size, a number is not positive, or ``floor`` negative.

    Example:
      >>> full_mixture(jnp.zeros((4, full_mixture_size(3, 2))), 3, 2).component_covariance.shape
      (4, 3, 2, 2)
    """
    _check(raw, full_mixture_size(components, outputs), floor)
    n, d = components, outputs
    below = d * (d - 1) // 2
    logits, location, a, lower = jnp.split(raw, [n, n + n * d, n + 2 * n * d], axis=-1)
    shape = raw.shape[:-1]
    deviation = (jnp.maximum(jax.nn.softplus(a), _TINY) + floor).reshape(*shape, n, d)
    # Placing by a product with zeros and ones: its gradient is a product too, where indexing has a scatter.
    rows, columns = np.tril_indices(d, -1)
    place = np.zeros((below, d * d), np.float32)
    place[np.arange(below), rows * d + columns] = 1
    off = (lower.reshape(*shape, n, below) @ jnp.asarray(place, raw.dtype)).reshape(*shape, n, d, d)
    eye = jnp.broadcast_to(jnp.eye(d, dtype=raw.dtype), off.shape)
    return FullMixture(logits, location.reshape(*shape, n, d), off + eye / deviation[..., None])


def full_mixture_size(components: int, outputs: int = 1) -> int:
    """Raw numbers of `full_mixture`: ``n(1 + 2d + d(d − 1)/2)``.

    Example:
      >>> full_mixture_size(5, 12)
      455
    """
    positive(components=components, outputs=outputs)
    return components * (1 + 2 * outputs + outputs * (outputs - 1) // 2)


def full_mixture_nll(raw: Array, y: Array, *, components: int, floor: float = 0.0) -> PerExample:
    """``−log p(y)`` of `full_mixture`: raw ``(batch, full_mixture_size(n, d))``, y ``(batch, d)``."""
    of = partial(full_mixture, components=components, outputs=y.shape[-1], floor=floor)
    return likelihood(of, raw, y)


def shared_precision(raw: Array, *, floor: float = 0.0) -> DiagonalNormal:
    """A Gaussian with one precision for all outputs, which follows the input: ``β(x) I``, ``β = ζ(raw[d])``.

    Args:
      raw: ``(..., d + 1)``: the mean, then what β is made of.
      floor: standard deviation that is added, in variance, which bounds the density.

    Raises:
      ValueError: when the last axis has fewer than two numbers, or ``floor`` is negative.

    Example:
      >>> shared_precision(jnp.array([3.0, 1.0, 0.0])).precision  # ζ(0) = log 2, twice
      Array([0.6931472, 0.6931472], dtype=float32)
    """
    if not raw.ndim or raw.shape[-1] < 2:
        raise ValueError(f"raw: got shape {tuple(raw.shape)}, allowed is (..., outputs + 1)")
    _check(raw, raw.shape[-1], floor)
    location, a = raw[..., :-1], raw[..., -1:]
    beta = jnp.maximum(jax.nn.softplus(a), _TINY)
    return DiagonalNormal(location, jnp.broadcast_to(beta / (1 + floor**2 * beta), location.shape))


def shared_precision_nll(raw: Array, y: Array, *, floor: float = 0.0) -> PerExample:
    """``−log p(y)`` of `shared_precision`: raw ``(batch, d + 1)``, y ``(batch, d)``."""
    return likelihood(partial(shared_precision, floor=floor), raw, y)


def _check(raw: Array, size: int, floor: float) -> None:
    if not floor >= 0:
        raise ValueError(f"floor: got {floor}, allowed is at least 0")
    if not raw.ndim or raw.shape[-1] != size:
        raise ValueError(f"raw: got shape {tuple(raw.shape)}, the last axis must have {size} numbers")
