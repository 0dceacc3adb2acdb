"""Output units as distributions: a cost is −log p(y | x).

Each distribution is a NamedTuple of parameters with the same four questions: ``log_prob(y)``,
``sample(key)``, ``mean`` and ``mode``. The parameters have any leading batch axes; the methods
work element by element and are jit-able, vmap-able and differentiable.

Source: notes, «Las redes neuronales artificiales», gradient-based learning.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from dlnotes.typing import Array, PRNGKey


class Categorical(NamedTuple):
    """Classes 0..K−1 with ``p(y = i) = softmax(z)_i``.

    Attributes:
      logits: ``(..., K)`` unnormalized log-probabilities z.
    """

    logits: Array

    def log_prob(self, y: Array) -> Array:
        """``z_y − log Σ_j exp z_j`` for integer ``y`` of shape ``(...)``; finite for any finite logits."""
        log_p = jax.nn.log_softmax(self.logits)
        # A mask rather than an index: the gradient of indexing is a scatter, slow on every backend.
        classes = jnp.arange(log_p.shape[-1], dtype=y.dtype).reshape((1,) * y.ndim + (-1,))
        return jnp.sum(jnp.where(y[..., None] == classes, log_p, 0), axis=-1)

    def sample(self, key: PRNGKey) -> Array:
        """One class per row, shape ``(...)``."""
        return jax.random.categorical(key, self.logits)

    @property
    def mean(self) -> Array:
        """Class probabilities ``(..., K)``, the mean of the one-hot vector."""
        return jax.nn.softmax(self.logits)

    @property
    def mode(self) -> Array:
        """The most probable class, shape ``(...)``."""
        return jnp.argmax(self.logits, axis=-1)


class Bernoulli(NamedTuple):
    """A binary variable with ``p(y = 1) = σ(z)``.

    Attributes:
      logits: ``(...)`` the pre-activation z.
    """

    logits: Array

    def log_prob(self, y: Array) -> Array:
        """``−ζ((1 − 2y) z)`` for ``y`` in {0, 1}: no logarithm of a rounded probability is taken."""
        sign = 1 - 2 * y.astype(self.logits.dtype)
        return -jax.nn.softplus(sign * self.logits)

    def sample(self, key: PRNGKey) -> Array:
        """Zeros and ones (int32), shape ``(...)``."""
        return jax.random.bernoulli(key, jax.nn.sigmoid(self.logits)).astype(jnp.int32)

    @property
    def mean(self) -> Array:
        """``σ(z)``."""
        return jax.nn.sigmoid(self.logits)

    @property
    def mode(self) -> Array:
        """1 where z > 0, else 0 (int32)."""
        return (self.logits > 0).astype(jnp.int32)


class Normal(NamedTuple):
    """Independent Gaussians ``N(y; μ, s²)``.

    Attributes:
      location: ``(...)`` the mean μ.
      scale: ``(...)`` or scalar, the standard deviation s > 0.
    """

    location: Array
    scale: Array | float = 1.0

    def log_prob(self, y: Array) -> Array:
        """``−½((y − μ)/s)² − log s − ½ log 2π``, element by element."""
        scale = jnp.asarray(self.scale, self.location.dtype)
        z = (y - self.location) / scale
        half_log_2pi = 0.9189385332046727
        return -0.5 * z * z - jnp.log(scale) - half_log_2pi

    def sample(self, key: PRNGKey) -> Array:
        """One draw of the shape of ``location``."""
        noise = jax.random.normal(key, self.location.shape, self.location.dtype)
        return self.location + jnp.asarray(self.scale, self.location.dtype) * noise

    @property
    def mean(self) -> Array:
        """μ."""
        return self.location

    @property
    def mode(self) -> Array:
        """μ."""
        return self.location


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
