"""Signals of different sizes in one padded array: what is padding must not change an answer.

A mask ``(batch, *sizes)`` is True where a position is real. The real positions of an example are a
box that begins at the first position of every axis; ``None`` says that all positions are real.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from dlnotes.checks import positive
from dlnotes.layers.convolutional.pooling import adaptive_pool, global_avg_pool
from dlnotes.layers.normalization import LayerNorm
from dlnotes.typing import Array


def only(x: Array, mask: Array | None) -> Array:
    """``x`` with 0 at every position that is not real, as a convolution expects what lies outside.

    Args:
      x: ``(batch, *sizes, channels)``.
      mask: ``(batch, *sizes)`` booleans, or ``None``.
    """
    return x if mask is None else jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))


def strided_mask(mask: Array | None, stride: int) -> Array | None:
    """The mask of a convolution's output: with "same" padding, output i stands at input ``i·stride``."""
    return mask if mask is None else mask[(slice(None), *(slice(None, None, stride),) * (mask.ndim - 1))]


def pooled_mask(mask: Array | None, window: int) -> Array | None:
    """The mask after disjoint pooling that drops the smaller window at the edge: windows all real."""
    if mask is None:
        return None
    ends = tuple(slice(window - 1, m // window * window, window) for m in mask.shape[1:])
    return mask[(slice(None), *ends)]


def masked_mean(x: Array, mask: Array | None) -> Array:
    """The mean over the real positions, ``(batch, *sizes, channels)`` to ``(batch, channels)``.

    Example:
      >>> x = jnp.array([[[1.0], [3.0], [9.0]]])
      >>> masked_mean(x, jnp.array([[True, True, False]]))
      Array([[2.]], dtype=float32)
    """
    if mask is None:
        return global_avg_pool(x)
    axes = tuple(range(1, x.ndim - 1))
    count = jnp.maximum(mask.sum(axes), 1).astype(x.dtype)
    return only(x, mask).sum(axes) / count[:, None]


def masked_adaptive_pool(x: Array, mask: Array | None, grid: int) -> Array:
    """Means over a fixed grid of regions that grow with the real size m of each example.

    Along each axis cell i of g takes the positions ``⌊i·m/g⌋ … ⌈(i + 1)·m/g⌉ − 1``, as in `adaptive_pool`.

    Args:
      x: ``(batch, *sizes, channels)``.
      mask: ``(batch, *sizes)`` booleans, or ``None``.
      grid: g, cells along every axis.

    Returns:
      ``(batch, *grid, channels)``.

    Raises:
      ValueError: when ``grid`` is not positive, or finer than an input without a mask.

    Source: notes C6.11 (b), C7.5; He et al., 2015, Spatial pyramid pooling.
    """
    positive(grid=grid)
    if mask is None:
        return adaptive_pool(x, grid, "mean")
    real = only(x, mask)
    for axis in range(1, x.ndim - 1):
        others = tuple(a for a in range(1, mask.ndim) if a != axis)
        m = mask.any(others).sum(-1, dtype=jnp.int32)[:, None, None]  # the real size along this axis
        cell = jnp.arange(grid, dtype=jnp.int32)[None, :, None]
        place = jnp.arange(x.shape[axis], dtype=jnp.int32)[None, None, :]
        inside = (place >= cell * m // grid) & (place < -(-(cell + 1) * m // grid))
        weights = inside.astype(x.dtype) / jnp.maximum(inside.sum(-1, keepdims=True), 1).astype(x.dtype)
        moved = jnp.moveaxis(real, axis, 1)
        mixed = jnp.einsum("bgm,bmk->bgk", weights, moved.reshape(*moved.shape[:2], -1))
        real = jnp.moveaxis(mixed.reshape(*mixed.shape[:2], *moved.shape[2:]), 1, axis)
    return real


def masked_group_norm(
    params: LayerNorm, x: Array, mask: Array | None, *, groups: int = 1, epsilon: float = 1e-5
) -> Array:
    """``y = γ (x − mean) / sqrt(variance + ε) + β`` over the real positions and a group of channels.

    Each example and each group of neighboring channels has its own mean and variance, taken in
    float32 whatever the dtype of ``x``. One group is layer normalization over the whole example.

    Args:
      params: scale γ and shift β of each channel.
      x: ``(batch, *sizes, channels)``.
      mask: ``(batch, *sizes)`` booleans, or ``None``.
      groups: which must divide the channels.
      epsilon: ε.

    Returns:
      The shape and dtype of ``x``; what is not real holds no meaning.

    Raises:
      ValueError: when ``groups`` does not divide the channels.

    Source: Wu and He, 2018.
    """
    channels = x.shape[-1]
    positive(groups=groups)
    if channels % groups:
        raise ValueError(f"groups: got {groups}, which does not divide {channels} channels")
    wide = x.astype(jnp.float32).reshape(*x.shape[:-1], groups, channels // groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    if mask is None:
        centerd = wide - wide.mean(axes, keepdims=True)
        variance = jnp.square(centerd).mean(axes, keepdims=True)
    else:
        real = mask[..., None, None].astype(jnp.float32)
        count = jnp.maximum(real.sum(axes, keepdims=True) * (channels // groups), 1.0)
        real = jnp.broadcast_to(real, wide.shape)
        centerd = wide - (wide * real).sum(axes, keepdims=True) / count
        variance = (jnp.square(centerd) * real).sum(axes, keepdims=True) / count
    y = (centerd * lax.rsqrt(variance + epsilon)).reshape(x.shape).astype(x.dtype)
    return y * jnp.broadcast_to(params.scale, x.shape) + jnp.broadcast_to(params.shift, x.shape)
