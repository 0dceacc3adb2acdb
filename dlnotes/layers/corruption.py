"""Noise on inputs, which a network that denoises must remove."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.checks import did_you_mean
from dlnotes.layers.random import bernoulli
from dlnotes.typing import Array, PRNGKey

CORRUPTIONS = ("mask", "gaussian")
"""Kinds of noise: entries set to 0, or normal noise added to all of them."""


def corrupt(key: PRNGKey, x: Array, *, kind: str = "mask", amount: float | Array = 0.3) -> Array:
    """``x̃ = x·m`` with ``m ~ Bernoulli(1 − amount)``, or ``x̃ = x + amount·ε`` with ``ε ~ N(0, 1)``.

    Args:
      key: one key, or one per example.
      x: ``(batch, ...)`` floats.
      kind: "mask" or "gaussian".
      amount: the share of the entries that become 0, in [0, 1], or the noise's standard deviation; may be
        traced, so that a sweep over it is one program.

    Raises:
      ValueError: on another kind, or a plain amount that is not allowed.

    Source: Vincent et al., 2008; notes, «pre-entrenamiento».

    Example:
      >>> x = jnp.ones((2, 1000))
      >>> bool(abs(corrupt(jax.random.key(0), x, amount=0.25).mean() - 0.75) < 0.05)
      True
    """
    if kind not in CORRUPTIONS:
        hint = did_you_mean(kind, CORRUPTIONS)
        raise ValueError(f"kind: got {kind!r}, allowed are {', '.join(CORRUPTIONS)}{hint}")
    if isinstance(amount, (int, float)) and (amount < 0 or (kind == "mask" and amount > 1)):
        allowed = "0 <= amount <= 1, a share" if kind == "mask" else "at least 0, a standard deviation"
        raise ValueError(f"amount: got {amount}, allowed is {allowed}")
    if kind == "mask":
        keep = bernoulli(key, 1 - jnp.asarray(amount, jnp.float32), x.shape)
        return jnp.where(keep, x, jnp.zeros((), x.dtype))
    if key.ndim == 0:
        noise = jax.random.normal(key, x.shape, x.dtype)
    else:
        noise = jax.vmap(lambda k: jax.random.normal(k, x.shape[1:], x.dtype))(key)
    return x + jnp.asarray(amount, x.dtype) * noise
