"""The affine layer with its matrix in two factors."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.layers import random
from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.layers.initializers import initializer as rule
from dlnotes.typing import Array, PRNGKey


class Factored(NamedTuple):
    """Parameters of ``z = x U V + b``: two linear layers, the first without a bias.

    A matrix ``W = U V`` of rank q at most has ``(n + p) q`` parameters instead of ``n p``.

    Attributes:
      U: ``(inputs, rank)``.
      V: ``(rank, outputs)``.
      b: ``(outputs,)``.
    """

    U: Array
    V: Array
    b: Array


def factored_dense(params: Factored, x: Array) -> Array:
    """Affine map of low rank of the last axis, ``z = x U V + b``; the notes' ``VᵀUᵀx + b``.

    Args:
      params: `Factored`.
      x: ``(..., inputs)``, of the dtype of ``U``.

    Returns:
      ``(..., outputs)``.

    Raises:
      ValueError: when the last axis of ``x`` is not ``inputs``.

    Source: notes F3.6.
    """
    if x.shape[-1] != params.U.shape[0]:
        raise ValueError(
            f"x: got {x.shape[-1]} features, U of shape {params.U.shape} takes {params.U.shape[0]}"
        )
    return add_bias((x @ params.U) @ params.V, params.b)


def init_factored(
    key: PRNGKey,
    inputs: int,
    rank: int,
    outputs: int,
    *,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    bias: float = 0.0,
) -> Factored:
    """`Factored` with ``V`` drawn by ``initializer`` times ``init_scale``, ``U`` so that x U keeps x's scale.

    ``U`` is "lecun_normal": each of the ``rank`` numbers in between has the mean square of the inputs, and
    so ``z`` starts with the deviation that `dense` gives it.

    Raises:
      ValueError: on sizes that are not positive, or an unknown initializer.

    Example:
      >>> params = init_factored(jax.random.key(0), 100, 3, 50)
      >>> sum(a.size for a in (params.U, params.V))  # of 5,000
      450
    """
    positive(inputs=inputs, rank=rank, outputs=outputs)
    first, second = random.split(key, 2)
    U = rule("lecun_normal")(first, (inputs, rank))
    V = rule(initializer, init_scale)(second, (rank, outputs))
    return Factored(U, V, jnp.full((outputs,), bias, jnp.float32))
