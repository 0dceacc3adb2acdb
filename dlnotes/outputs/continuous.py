"""Distributions of real vectors: Gaussian with a diagonal or a full covariance, Laplace, mixtures.

They ask and answer as those of `dlnotes.outputs.distributions`; ``variance`` comes in addition.

Source: notes, «Las redes neuronales artificiales», gradient-based learning (F2.2, F2.9, F2.10).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from dlnotes.outputs.distributions import Categorical, Normal
from dlnotes.typing import Array, PRNGKey

LOG_2PI = 1.8378770664093453


class Laplace(NamedTuple):
    """Independent variables with density ``exp(−|y − μ|/s) / 2s``; maximum likelihood gives the median.

    Attributes:
      location: ``(...)`` μ.
      scale: ``(...)`` or scalar, s > 0.
    """

    location: Array
    scale: Array | float = 1.0

    def log_prob(self, y: Array) -> Array:
        """``−|y − μ|/s − log 2s``, element by element."""
        scale = jnp.asarray(self.scale, self.location.dtype)
        return -jnp.abs(y - self.location) / scale - jnp.log(2 * scale)

    def sample(self, key: PRNGKey) -> Array:
        """One draw of the shape of ``location``."""
        noise = jax.random.laplace(key, self.location.shape, self.location.dtype)
        return self.location + jnp.asarray(self.scale, self.location.dtype) * noise

    @property
    def mean(self) -> Array:
        """μ."""
        return self.location

    @property
    def mode(self) -> Array:
        """μ."""
        return self.location

    @property
    def variance(self) -> Array:
        """``2s²``."""
        scale = jnp.asarray(self.scale, self.location.dtype)
        return jnp.broadcast_to(2 * scale * scale, self.location.shape)


class DiagonalNormal(NamedTuple):
    """Vectors with ``N(y; μ, diag(β)⁻¹)``, by their precision: multiplied, never divided.

    Attributes:
      location: ``(..., d)`` μ.
      precision: ``(..., d)`` β > 0, one over the variance.
    """

    location: Array
    precision: Array

    def log_prob(self, y: Array) -> Array:
        """``½ Σ_j (log β_j − β_j (y_j − μ_j)² − log 2π)``, shape ``(...)``."""
        error = y - self.location
        return 0.5 * jnp.sum(jnp.log(self.precision) - self.precision * error * error - LOG_2PI, axis=-1)

    def sample(self, key: PRNGKey) -> Array:
        """One vector for each μ, ``(..., d)``."""
        noise = jax.random.normal(key, self.location.shape, self.location.dtype)
        return self.location + noise * jax.lax.rsqrt(self.precision)

    @property
    def mean(self) -> Array:
        """μ."""
        return self.location

    @property
    def mode(self) -> Array:
        """μ."""
        return self.location

    @property
    def variance(self) -> Array:
        """``1/β``, ``(..., d)``."""
        return 1 / self.precision


class FullNormal(NamedTuple):
    """Vectors with ``N(y; μ, L Lᵀ)``; log-likelihood and sample cost O(d²) once L is known.

    Computed in float32 also for narrower parameters: the triangular solve has no other kind.

    Attributes:
      location: ``(..., d)`` μ.
      factor: ``(..., d, d)`` L, lower triangular with a positive diagonal: one L for each covariance.
    """

    location: Array
    factor: Array

    def log_prob(self, y: Array) -> Array:
        """``−½ ‖L⁻¹(y − μ)‖² − Σ_j log L_jj − ½ d log 2π``, shape ``(...)``."""
        error = (y - self.location).astype(jnp.float32)[..., None]
        factor = jnp.broadcast_to(self.factor.astype(jnp.float32), (*error.shape[:-1], error.shape[-2]))
        z = solve_triangular(factor, error, lower=True)[..., 0]
        log_volume = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
        d = self.location.shape[-1]
        value = -0.5 * jnp.sum(z * z, axis=-1) - log_volume - 0.5 * d * LOG_2PI
        return value.astype(self.location.dtype)

    def sample(self, key: PRNGKey) -> Array:
        """``μ + L z`` with standard normal z, ``(..., d)``."""
        z = jax.random.normal(key, self.location.shape, self.location.dtype)
        return self.location + jnp.einsum("...ij,...j->...i", self.factor, z)

    @property
    def mean(self) -> Array:
        """μ."""
        return self.location

    @property
    def mode(self) -> Array:
        """μ."""
        return self.location

    @property
    def covariance(self) -> Array:
        """``L Lᵀ``, ``(..., d, d)``."""
        return jnp.einsum("...ik,...jk->...ij", self.factor, self.factor)

    @property
    def variance(self) -> Array:
        """The diagonal of the covariance, ``(..., d)``."""
        return jnp.sum(self.factor * self.factor, axis=-1)


class Mixture(NamedTuple):
    """``p(y) = Σ_i π_i N(y; μ_i, diag(s_i²))`` with ``π = softmax(logits)``: several answers, each likely.

    Attributes:
      logits: ``(..., n)`` of the component that a vector comes from.
      location: ``(..., n, d)`` μ.
      scale: ``(..., n, d)`` s > 0.
    """

    logits: Array
    location: Array
    scale: Array

    def component_log_prob(self, y: Array) -> Array:
        """``log π_i + log N(y; μ_i, s_i)`` of each component, ``(..., n)``."""
        each = Normal(self.location, self.scale).log_prob(y[..., None, :])
        return jax.nn.log_softmax(self.logits) + jnp.sum(each, axis=-1)

    def log_prob(self, y: Array) -> Array:
        """``log Σ_i exp(log π_i + log N_i)`` without leaving the logarithm, shape ``(...)``."""
        return jax.nn.logsumexp(self.component_log_prob(y), axis=-1)

    def responsibilities(self, y: Array) -> Array:
        """How probable it is that each component made ``y``: ``(..., n)``, summing to 1."""
        return jax.nn.softmax(self.component_log_prob(y), axis=-1)

    def sample(self, key: PRNGKey) -> Array:
        """A component, then a vector from it, ``(..., d)``."""
        key_component, key_noise = jax.random.split(key)
        component = Categorical(self.logits).sample(key_component)
        chosen = jax.nn.one_hot(component, self.logits.shape[-1], dtype=self.location.dtype)[..., None]
        location, scale = (jnp.sum(chosen * a, axis=-2) for a in (self.location, self.scale))
        return Normal(location, scale).sample(key_noise)

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
    def variance(self) -> Array:
        """``Σ_i π_i (s_i² + (μ_i − mean)²)``, ``(..., d)``."""
        apart = self.location - self.mean[..., None, :]
        weights = jax.nn.softmax(self.logits)[..., None]
        return jnp.sum(weights * (self.scale * self.scale + apart * apart), axis=-2)
