"""Random bits in bulk: one call for all of a step, sixteen random bits for each that is drawn."""

from __future__ import annotations

from math import prod

import jax
import jax.numpy as jnp

from dlnotes.typing import Array, PRNGKey

LEVELS = 65536
"""A probability is rounded to a multiple of 1/65,536."""


def words(key: PRNGKey, shape: tuple[int, ...]) -> Array:
    """Uniform uint16 of ``shape``, at half the cost of ``jax.random.bits``, which draws 32 bits for each.

    Args:
      key: one typed key.
      shape: of the result.

    Example:
      >>> words(jax.random.key(0), (2, 3)).dtype
      dtype('uint16')
    """
    n = prod(shape)
    pairs = jax.random.bits(key, ((n + 1) // 2,), jnp.uint32)
    halves = jax.lax.bitcast_convert_type(pairs, jnp.uint16)
    return halves.reshape(-1)[:n].reshape(shape)


def bits(u: Array, p: Array) -> Array:
    """Bits that are 1 with probability p, as numbers of the dtype of ``p``.

    Each is 1 where ``u + ½ < 65,536 p``: with the probability p rounded to a multiple of 1/65,536, so that
    0 stays 0 and 1 stays 1.

    Args:
      u: uint16 of the shape of p, from `words`.
      p: probabilities.

    Example:
      >>> p = jnp.array([0.0, 0.3, 1.0])
      >>> jnp.stack([bits(words(jax.random.key(i), (3,)), p) for i in range(99)]).mean(0).round(1).tolist()
      [0.0, 0.30000001192092896, 1.0]
    """
    return (u.astype(jnp.float32) + 0.5 < p.astype(jnp.float32) * LEVELS).astype(p.dtype)
