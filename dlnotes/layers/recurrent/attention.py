"""Attention: scores, weights that ignore what is masked, and the weighted mean they select.

``context = Σ_s α_s v_s`` with ``α = softmax(scores)`` over the real positions of a sequence.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.typing import Array


def additive_scores(v: Array, query: Array, keys: Array) -> Array:
    """``score_s = v · tanh(query + key_s)``, with query and keys already projected.

    Args:
      v: (size,).
      query: (..., size), e.g. ``h @ W_q``.
      keys: (..., positions, size), e.g. ``annotations @ W_k``, which a decoder computes once.

    Returns:
      (..., positions).

    Raises:
      ValueError: when the sizes differ.

    Source: Bahdanau, Cho and Bengio, 2015.
    """
    _same_size(query, keys)
    if v.shape != query.shape[-1:]:
        raise ValueError(f"v: got shape {v.shape}, allowed is {query.shape[-1:]}, the size of the query")
    return jnp.tanh(jnp.expand_dims(query, -2) + keys) @ v


def dot_scores(query: Array, keys: Array) -> Array:
    """``score_s = query · key_s / sqrt(size)``.

    Args:
      query: (..., size).
      keys: (..., positions, size).

    Returns:
      (..., positions).

    Raises:
      ValueError: when the sizes differ.

    Source: Luong, Pham and Manning, 2015; the scale is that of Vaswani et al., 2017.
    """
    _same_size(query, keys)
    return jnp.einsum("...sd,...d->...s", keys, query) / jnp.asarray(query.shape[-1] ** 0.5, keys.dtype)


def local_window(middle: Array, positions: int, window: int) -> tuple[Array, Array]:
    """``log w_s = -(s - p)² / (2 (D/2)²)`` around the middle p, and whether ``|s - p| ≤ D``.

    Added to the scores, the weights of a window are Luong's local ones, made to sum to 1.

    Args:
      middle: (...) the middles p.
      positions: how many positions there are.
      window: D, at least 1.

    Returns:
      (..., positions) each.

    Source: Luong, Pham and Manning, 2015, local-p.

    Example:
      >>> import jax.numpy as jnp
      >>> local_window(jnp.array([1.0]), 4, 1)[1].tolist()
      [[True, True, True, False]]
    """
    positive(window=window)
    places = jnp.expand_dims(jnp.arange(positions).astype(middle.dtype), tuple(range(middle.ndim)))
    far = places - jnp.expand_dims(middle, -1)
    return -jnp.square(far) * (2 / window**2), jnp.abs(far) <= window


def masked_softmax(scores: Array, mask: Array | None = None) -> Array:
    """``α_s = exp(score_s) / Σ_real exp(score)``: rows sum to 1, masked positions are exactly 0.

    A row without any real position is 0 everywhere, and so is its gradient.

    Args:
      scores: (..., positions).
      mask: booleans of the same shape, True where a position is real; ``None``: all are.

    Returns:
      (..., positions), of the dtype of ``scores``.

    Raises:
      ValueError: when the shapes differ.
    """
    if mask is None:
        return jax.nn.softmax(scores, -1)
    if mask.shape != scores.shape:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is {scores.shape}, that of the scores")
    # The fill is finite, so that an empty row gives no nan here nor in its gradient.
    lowest = jnp.asarray(jnp.finfo(scores.dtype).min, scores.dtype)
    weights = jax.nn.softmax(jnp.where(mask, scores, lowest), -1)
    return jnp.where(mask, weights, 0)


def weighted_mean(weights: Array, values: Array) -> Array:
    """``context = Σ_s α_s v_s``.

    Args:
      weights: (..., positions).
      values: (..., positions, size).

    Returns:
      (..., size).
    """
    return jnp.einsum("...s,...sd->...d", weights, values)


def _same_size(query: Array, keys: Array) -> None:
    if query.shape != (*keys.shape[:-2], keys.shape[-1]):
        raise ValueError(
            f"query: got shape {query.shape}, allowed is {(*keys.shape[:-2], keys.shape[-1])} "
            f"for keys of shape {keys.shape}"
        )
