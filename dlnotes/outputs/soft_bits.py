"""The logistic output unit for targets between 0 and 1, such as gray levels: the cross-entropy of chances."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.outputs.losses import PerExample, likelihood
from dlnotes.typing import Array, PRNGKey


class SoftBernoulli(NamedTuple):
    """Independent bits with ``p(y = 1) = σ(z)``, of which only a chance y in [0, 1] is known.

    Attributes:
      logits: ``(..., d)`` the pre-activations z.
    """

    logits: Array

    def log_prob(self, y: Array) -> Array:
        """``y log σ(z) + (1 − y) log(1 − σ(z)) = y z − ζ(z)``, the mean of a bit's log p: ``(..., d)``."""
        return y * self.logits - jax.nn.softplus(self.logits)

    def sample(self, key: PRNGKey) -> Array:
        """Zeros and ones (int32), shape ``(..., d)``."""
        return jax.random.bernoulli(key, jax.nn.sigmoid(self.logits)).astype(jnp.int32)

    @property
    def mean(self) -> Array:
        """``σ(z)``."""
        return jax.nn.sigmoid(self.logits)

    @property
    def variance(self) -> Array:
        """``σ(z)(1 − σ(z))``, of the bit."""
        p = jax.nn.sigmoid(self.logits)
        return p * (1 - p)

    @property
    def mode(self) -> Array:
        """1 where z > 0, else 0 (int32)."""
        return (self.logits > 0).astype(jnp.int32)


def bernoulli_nll(logits: Array, y: Array) -> PerExample:
    """Cross-entropy ``Σ_j ζ(z_j) − y_j z_j`` of targets in [0, 1], summed over outputs, in nats.

    Its least value is the entropy of the targets, 0 only where they are bits.

    Args:
      logits: ``(batch, outputs)`` z.
      y: ``(batch, outputs)`` in [0, 1].

    Source: Hinton and Salakhutdinov, 2006 (deep autoencoders); notes P14.3.

    Example:
      >>> float(bernoulli_nll(jnp.zeros((1, 4)), jnp.array([[0.0, 0.3, 0.5, 1.0]])).total[0] / jnp.log(2))
      4.0
    """
    return likelihood(SoftBernoulli, logits, y)
