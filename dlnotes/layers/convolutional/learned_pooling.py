"""Pooling whose regions are learned: one structure, shared by all images."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.typing import Array


class LearnedPooling(NamedTuple):
    """Parameters of ``y[r, c] = Σ_p A[r, p, g(c)] x[p, c]``, ``A[r, :, g] = softmax of logits[r, :, g]``.

    The weights of a region are positive and sum to 1 over the positions p: it is a weighted mean,
    between the mean of the whole image (equal logits) and one position (one large logit). Channels come in
    equal groups of neighbors, g(c), each with regions of its own.

    Attributes:
      logits: ``(regions, *sizes, groups)``.
    """

    logits: Array


def init_learned_pooling(
    sizes: Sequence[int], grid: int | Sequence[int], *, groups: int = 1, sharpness: float = 3.0
) -> LearnedPooling:
    """`LearnedPooling` that starts as the mean over the cells of a grid, the ones of `adaptive_pool`.

    Args:
      sizes: of the input.
      grid: cells along each axis, one number for all or one per axis; their product is the regions.
      groups: of channels.
      sharpness: logit inside a cell minus outside. The more, the nearer to the cell's mean, and the
        smaller the gradient that can draw other positions in.

    Raises:
      ValueError: when a grid is finer than the input, or a number is not allowed.
    """
    sizes = tuple(sizes)
    cells = (grid,) * len(sizes) if isinstance(grid, int) else tuple(grid)
    if len(cells) != len(sizes) or any(not 1 <= g <= m for g, m in zip(cells, sizes)):
        raise ValueError(f"grid: got {grid}, allowed are 1 to {sizes} cells along the axes")
    positive(groups=groups)
    if not sharpness >= 0:
        raise ValueError(f"sharpness: got {sharpness}, allowed is at least 0")
    inside = np.zeros((prod(cells), *sizes, groups), bool)
    for region, cell in enumerate(np.ndindex(*cells)):
        box = (slice(i * m // g, ceil((i + 1) * m / g)) for i, m, g in zip(cell, sizes, cells))
        inside[(region, *box)] = True
    return LearnedPooling(jnp.where(inside, 0.0, -jnp.float32(sharpness)))


def learned_pool(params: LearnedPooling, x: Array, *, mask: Array | None = None) -> Array:
    """A layer of learned pooling; equation: `LearnedPooling`.

    Args:
      params: for inputs of the size of ``x``.
      x: ``(batch, *sizes, channels)``; the groups must divide the channels.
      mask: ``(batch, *sizes)`` booleans: a region's weights are those of its real positions, made to sum
        to 1 again.

    Returns:
      ``(batch, regions, channels)``.

    Raises:
      ValueError: when sizes, groups or the mask do not fit.

    Source: notes C6.10.
    """
    regions, *sizes, groups = params.logits.shape
    if x.shape[1:-1] != tuple(sizes):
        raise ValueError(f"x: got shape {x.shape}, the parameters are for sizes {tuple(sizes)}")
    if x.shape[-1] % groups:
        raise ValueError(f"x: got {x.shape[-1]} channels, they must be a multiple of the {groups} groups")
    if mask is not None and mask.shape != x.shape[:-1]:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is that of the positions {x.shape[:-1]}")
    weights = jax.nn.softmax(params.logits.reshape(regions, -1, groups), axis=1).astype(x.dtype)
    values = x.reshape(x.shape[0], weights.shape[1], groups, -1)
    if mask is not None:
        real = mask.reshape(x.shape[0], -1).astype(x.dtype)
        values = jnp.where(mask.reshape(x.shape[0], -1, 1, 1), values, jnp.zeros((), x.dtype))
        total = jnp.einsum("bp,rpg->brg", real, weights)[..., None]
        sums = jnp.einsum("bpgc,rpg->brgc", values, weights)
        some = jnp.broadcast_to(total > 0, sums.shape)
        pooled = jnp.where(some, sums / jnp.where(some, total, jnp.ones_like(total)), jnp.zeros_like(sums))
    else:
        pooled = jnp.einsum("bpgc,rpg->brgc", values, weights)
    return pooled.reshape(x.shape[0], regions, x.shape[-1])
