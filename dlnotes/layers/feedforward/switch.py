"""Softmax as a hidden unit: a switch that descent can turn, and the read of a memory through it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.typing import Array


def soft_switch(logits: Array) -> Array:
    """``a = softmax(z)``: k weights that sum to 1, nearly all on one where one z is largest.

    A choice ``argmax z`` has the gradient 0 everywhere; here ``∂a_i/∂z_j = a_i (1_ij − a_j)``.

    Args:
      logits: ``(..., k)``.

    Returns:
      ``(..., k)``.

    Source: notes, hidden units (F3.7).
    """
    return jax.nn.softmax(logits, axis=-1)


def soft_read(memory: Array, logits: Array) -> Array:
    """``r = Σ_i a_i M_i`` with ``a = softmax(z)``: a read of all slots of a memory, most of where z is large.

    Args:
      memory: ``(..., k, size)``, one row for each slot; or ``(k, size)``, the same for all.
      logits: ``(..., k)``.

    Returns:
      ``(..., size)``, in the dtype of ``memory``.

    Raises:
      ValueError: when the memory has not one row for each logit, or other leading axes.

    Example:
      >>> memory = jnp.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
      >>> soft_read(memory, jnp.array([0.0, 100.0, 0.0]))
      Array([ 2., 20.], dtype=float32)

    Source: notes, hidden units (F3.7); Graves, Wayne and Danihelka, 2014.
    """
    leading = logits.shape[:-1]
    if memory.ndim < 2 or memory.shape[-2] != logits.shape[-1] or memory.shape[:-2] not in ((), leading):
        raise ValueError(
            f"memory: got shape {memory.shape}, allowed is (k, size) or (..., k, size) for logits (..., k) "
            f"of shape {logits.shape}"
        )
    weights = soft_switch(logits).astype(memory.dtype)
    if memory.ndim == 2:
        return weights @ memory
    return jnp.einsum("...k,...ks->...s", weights, memory)
