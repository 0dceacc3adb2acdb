"""A dense layer in which only some connections exist."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.typing import Array, PRNGKey


def connections(inputs: int, outputs: int, share: float, *, seed: int = 0) -> np.ndarray:
    """A fixed random pattern of connections: each output has ``round(share · inputs)`` inputs, at least one.

    Args:
      inputs, outputs: sizes of the layer.
      share: of the inputs that each output has, in (0, 1].
      seed: of the pattern.

    Returns:
      ``(inputs, outputs)`` float32 of 0 and 1, on the host: it is no parameter and is not trained.

    Raises:
      ValueError: when a size or the share is not allowed.

    Example:
      >>> connections(8, 3, 0.25).sum(0)
      array([2., 2., 2.], dtype=float32)

    Source: notes F4.7.
    """
    positive(inputs=inputs, outputs=outputs)
    if not 0 < share <= 1:
        raise ValueError(f"share: got {share}, allowed is 0 < share <= 1 (the share of inputs connected)")
    order = np.argsort(np.random.default_rng(seed).random((inputs, outputs)), axis=0)
    return (order < max(1, round(share * inputs))).astype(np.float32)


def masked_dense(params: Dense, x: Array, mask: np.ndarray | Array) -> Array:
    """``z = x (M ⊙ W) + b``: the layer in which a connection exists where ``M`` is 1.

    Weights without a connection change nothing and have no gradient. The product is computed as a
    dense one; `dlnotes.analysis.counting` counts the connections.

    Args:
      params: `Dense`.
      x: ``(..., inputs)``.
      mask: ``M``, ``(inputs, outputs)`` of 0 and 1.

    Returns:
      ``(..., outputs)``.

    Raises:
      ValueError: when the mask has not the shape of ``W``.

    Example:
      >>> layer = init_masked_dense(jax.random.key(0), np.array([[1, 0], [0, 1], [0, 1]]))
      >>> masked_dense(layer, jnp.ones((4, 3)), np.array([[1, 0], [0, 1], [0, 1]])).shape
      (4, 2)

    Source: notes F4.7.
    """
    _same_shape(mask, params.W.shape)
    return dense(params._replace(W=params.W * jnp.asarray(mask, params.W.dtype)), x)


def init_masked_dense(
    key: PRNGKey,
    mask: np.ndarray,
    *,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    bias: float = 0.0,
) -> Dense:
    """`Dense` whose weights start 0 where there is no connection, and larger where there is one.

    An output with ``k`` of ``n`` inputs has its weights multiplied by ``√(n/k)``, so that its
    pre-activation starts with the variance that all ``n`` would have given it.

    Args:
      key: what ``W`` is drawn from.
      mask: ``(inputs, outputs)`` of 0 and 1, on the host.
      initializer, init_scale, bias: as in `init_dense`.

    Raises:
      ValueError: when the mask is no matrix of 0 and 1, or an output has no input.

    Source: He et al., 2015; notes F4.7.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or not np.isin(mask, (0, 1)).all() or not mask.any(axis=0).all():
        raise ValueError(f"mask: got shape {mask.shape}, allowed is a matrix of 0 and 1, no column of zeros")
    factor = mask * np.sqrt(mask.shape[0] / mask.sum(0))
    params = init_dense(key, *mask.shape, initializer=initializer, init_scale=init_scale, bias=bias)
    return params._replace(W=params.W * jnp.asarray(factor, jnp.float32))


def _same_shape(mask: np.ndarray | Array, shape: tuple[int, ...]) -> None:
    if tuple(mask.shape) != tuple(shape):
        raise ValueError(f"mask: got shape {tuple(mask.shape)}, needed is that of W, {tuple(shape)}")
