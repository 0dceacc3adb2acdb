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

from dlnotes.typing import Array, PRNGKey


class Categorical(NamedTuple):
    """Classes 0..K−1 with ``p(y = i) = softmax(z)_i``.

    Attributes:
      logits: ``(..., K)`` unnormalised log-probabilities z.
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
