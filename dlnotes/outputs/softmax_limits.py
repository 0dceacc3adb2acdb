"""What the softmax and its log-normalizer come near to, and how near: the maximum and the argmax.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.8); Goodfellow et al. 2016, 6.2.2.3.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.typing import IGNORE, Array


def above_maximum(logits: Array) -> Array:
    """``log Σ_j exp z_j − max_j z_j``: between 0 (one logit far above) and log n (all equal).

    So the log-likelihood ``z_y − log Σ exp z`` is about ``z_y − max z``: where the right class has the
    largest logit, little is left to gain, and the strongest wrong one is penalized most.

    Args:
      logits: ``(..., n)``.

    Returns:
      ``(...)``, not negative.

    Raises:
      ValueError: without classes.

    Example:
      >>> above_maximum(jnp.array([[1.0, 1.0], [0.0, 50.0]])).round(4)
      Array([0.6931, 0.    ], dtype=float32)
    """
    _classes(logits)
    return jax.nn.logsumexp(logits - jnp.max(logits, axis=-1, keepdims=True), axis=-1)


def strongest_wrong_share(logits: Array, y: Array) -> Array:
    """Share of what the gradient pushes down that falls on the strongest wrong class: ``max p_j / Σ p_j``.

    The gradient of ``−log softmax(z)_y`` is ``p − 1_y``: positive on the wrong classes, which add up to
    ``1 − p_y``. Between ``1/(n − 1)`` (all wrong ones alike) and 1 (one of them far above the others).

    Args:
      logits: ``(batch, n)``, n at least 2.
      y: ``(batch,)`` int classes; the share of `IGNORE` (-1) is 0.

    Returns:
      ``(batch,)``.

    Raises:
      ValueError: on fewer than two classes, or shapes that do not fit.

    Example:
      >>> strongest_wrong_share(jnp.array([[5.0, 0.0, 0.0], [0.0, 9.0, 0.0]]), jnp.array([0, 0])).round(3)
      Array([0.5, 1. ], dtype=float32)
    """
    if logits.ndim != 2 or logits.shape[-1] < 2 or y.shape != logits.shape[:1]:
        raise ValueError(
            f"logits, y: got shapes {tuple(logits.shape)} and {tuple(y.shape)}, allowed are (batch, two or "
            "more classes) and (batch,)"
        )
    right = jax.nn.one_hot(jnp.where(y == IGNORE, 0, y), logits.shape[-1], dtype=bool)
    wrong = jax.nn.softmax(jnp.where(right, -jnp.inf, logits), axis=-1)
    return jnp.where(y == IGNORE, 0, jnp.max(wrong, axis=-1))


def tempered_softmax(logits: Array, temperature: float | Array) -> Array:
    """``softmax(z/T)``: the argmax as T falls to 0, all classes alike as it grows.

    Args:
      logits: ``(..., n)``.
      temperature: T > 0; may be traced.

    Returns:
      ``(..., n)``; its distance from the argmax is at most `argmax_error_bound`.

    Raises:
      ValueError: without classes, or a temperature that is not positive.
    """
    _classes(logits)
    _temperature(temperature)
    return jax.nn.softmax(logits / temperature, axis=-1)


def argmax_error_bound(logits: Array, temperature: float | Array) -> Array:
    """``(n − 1) exp(−gap/T)``, which ``1 − max_i softmax(z/T)_i`` never exceeds; gap is first minus second.

    Args:
      logits: ``(..., n)``.
      temperature: T > 0; may be traced.

    Returns:
      ``(...)``; for one class 0.

    Raises:
      ValueError: without classes, or a temperature that is not positive.

    Example:
      >>> float(argmax_error_bound(jnp.array([2.0, 1.0, 0.0]), 0.1)) < 1e-4
      True
    """
    _classes(logits)
    _temperature(temperature)
    n = logits.shape[-1]
    if n == 1:
        return jnp.zeros(logits.shape[:-1], logits.dtype)
    largest = jax.lax.top_k(logits, 2)[0]
    return (n - 1) * jnp.exp(-(largest[..., 0] - largest[..., 1]) / temperature)


def _classes(logits: Array) -> None:
    if not logits.ndim or not logits.shape[-1]:
        raise ValueError(f"logits: got shape {tuple(logits.shape)}, allowed is (..., classes)")


def _temperature(temperature: float | Array) -> None:
    if isinstance(temperature, (int, float)) and not 0 < temperature < float("inf"):
        raise ValueError(f"temperature: got {temperature}, allowed is a positive number")
