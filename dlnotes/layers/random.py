"""Randomness that does not depend on how a batch is divided.

Every random layer takes a *key*: one typed key of shape ``()``, or one per example, shape
``(batch,)``. With one key per example, what an example draws is a function of its own key alone,
so a batch spread over eight devices draws what one device would draw.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.typing import Array, PRNGKey


def split(key: PRNGKey, n: int) -> tuple[PRNGKey, ...]:
    """``n`` independent keys of the form of ``key`` (one key, or one per example).

    Args:
      key: ``()`` or ``(batch,)`` typed keys.
      n: how many keys.

    Returns:
      A tuple of ``n`` keys, each of the shape of ``key``.
    """
    return tuple(fold_in(key, i) for i in range(n))


def fold_in(key: PRNGKey, i: int | Array) -> PRNGKey:
    """The ``i``-th key derived from ``key``, element by element where there is one per example."""
    if key.ndim == 0:
        return jax.random.fold_in(key, i)
    return jax.vmap(lambda k: jax.random.fold_in(k, i))(key)


def bernoulli(key: PRNGKey, p: float | Array, shape: tuple[int, ...]) -> Array:
    """Booleans of ``shape``, each True with probability ``p``.

    Args:
      key: one key, or one per example; then ``shape[0]`` must be their number.
      p: probability in [0, 1], a number or a traced scalar.
      shape: of the result, batch first.
    """
    if key.ndim == 0:
        return jax.random.bernoulli(key, p, shape)
    if shape[:1] != key.shape:
        raise ValueError(f"shape: got {shape} for {key.shape[0]} keys, the first axis must be the batch")
    return jax.vmap(lambda k: jax.random.bernoulli(k, p, shape[1:]))(key)


def categorical(key: PRNGKey, logits: Array) -> Array:
    """A class for each row: ``y ~ softmax(logits)``.

    Args:
      key: one key, or one per row.
      logits: ``(batch, classes)``.

    Returns:
      ``(batch,)`` int32.
    """
    if key.ndim == 0:
        return jax.random.categorical(key, logits).astype(jnp.int32)
    return jax.vmap(jax.random.categorical)(key, logits).astype(jnp.int32)


def dropout(key: PRNGKey | None, x: Array, rate: float | Array) -> Array:
    """Inverted dropout: ``x · m / (1 − rate)`` with ``m ~ Bernoulli(1 − rate)`` element by element.

    ``E[dropout(x)] = x``, so nothing is rescaled at test time.

    Args:
      key: one key, one per example, or ``None``, which returns ``x`` unchanged.
      x: ``(batch, ...)``.
      rate: share of elements set to zero, 0 ≤ rate < 1 (what is dropped, not what is kept). A plain
        0 costs nothing; it may also be a traced scalar, so that a sweep over rates is one program.

    Raises:
      ValueError: when a plain ``rate`` is outside [0, 1).

    Source: Srivastava et al., 2014.
    """
    if isinstance(rate, (int, float)):
        if not 0 <= rate < 1:
            raise ValueError(f"rate: got {rate}, allowed is 0 <= rate < 1 (the share dropped)")
        if rate == 0:
            return x
    if key is None:
        return x
    keep = 1 - jnp.asarray(rate, jnp.float32)
    mask = bernoulli(key, keep, x.shape)
    return jnp.where(mask, x / keep.astype(x.dtype), jnp.zeros((), x.dtype))
