"""From a label for each pixel to regions: mean-field smoothing as a trainable layer, connected regions."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.typing import Array

NEIGHBORS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}
"""Half of the offsets (rows, columns) of the neighbors of a pixel; the others are their opposites."""


class MeanField(NamedTuple):
    """Parameters of a conditional random field over an image's pixels.

    ``log p(y | x) = Σ_i z_i[y_i] − Σ_{i~j} w_ij M[y_i, y_j] − log Z``, where the strength of a pair
    ``w_ij = a + c·exp(−‖x_i − x_j‖² / 2s²)`` is larger between pixels of like color.

    Attributes:
      compatibility: ``(K, K)`` M, used symmetrically: the cost of neighbors with these labels.
      base: ``()`` a.
      contrast: ``()`` c.
      log_width: ``()`` log s, of color differences.
    """

    compatibility: Array
    base: Array
    contrast: Array
    log_width: Array


def init_mean_field(
    classes: int, *, base: float = 0.5, contrast: float = 0.5, width: float = 0.2
) -> MeanField:
    """`MeanField` in which neighbors of different labels cost 1 (Potts).

    Args:
      classes: K.
      base, contrast: of the strength of a pair.
      width: s, in units of the image.

    Raises:
      ValueError: when ``classes`` is not positive.
    """
    positive(classes=classes)
    M = 1.0 - jnp.eye(classes, dtype=jnp.float32)
    return MeanField(M, *(jnp.asarray(v, jnp.float32) for v in (base, contrast, np.log(width))))


def pair_strengths(params: MeanField, image: Array, neighbors: int = 4) -> list[Array]:
    """``w_ij`` of each pixel with its neighbor at each offset of `NEIGHBORS`, 0 outside the image.

    Args:
      params: of the field.
      image: ``(batch, height, width, channels)``.
      neighbors: 4 or 8.

    Returns:
      Arrays ``(batch, height, width)``, one for each offset.

    Raises:
      ValueError: when ``neighbors`` is neither.
    """
    if neighbors not in NEIGHBORS:
        raise ValueError(f"neighbors: got {neighbors}, allowed are 4, 8")
    inside = jnp.ones((1, *image.shape[1:3], 1), image.dtype)
    strengths = []
    for offset in NEIGHBORS[neighbors]:
        difference = image - _shifted(image, offset)
        alike = jnp.exp(-jnp.sum(difference**2, -1) / (2 * jnp.exp(2 * params.log_width)))
        strengths.append((params.base + params.contrast * alike) * _shifted(inside, offset)[..., 0])
    return strengths


def mean_field(
    params: MeanField,
    logits: Array,
    image: Array,
    *,
    steps: int = 5,
    neighbors: int = 4,
    damping: float = 0.5,
) -> Array:
    """Labels smoothed by ``steps`` updates of the mean-field approximation.

    ``q_i ∝ exp(z_i − Σ_{j~i} w_ij M q_j)``, all pixels at once; with all at once the plain update may
    flicker, so the exponents are averaged with the ones before.

    Args:
      params: see `MeanField`.
      logits: ``(batch, height, width, K)`` z, of each pixel alone.
      image: ``(batch, height, width, channels)``.
      steps: number of updates.
      neighbors: 4 or 8.
      damping: share of the old exponents that is kept, in [0, 1).

    Returns:
      Logits of q, ``(batch, height, width, K)``; differentiable in everything.

    Raises:
      ValueError: on options that are not allowed.

    Source: notes C7.3; Zheng et al., 2015.
    """
    if not 0 <= damping < 1:
        raise ValueError(f"damping: got {damping}, allowed is 0 <= damping < 1")
    strengths = pair_strengths(params, image, neighbors)
    M = (params.compatibility + params.compatibility.T) / 2

    def update(_, exponents: Array) -> Array:
        cost = jax.nn.softmax(exponents) @ M
        message = jnp.zeros_like(logits)
        for offset, w in zip(NEIGHBORS[neighbors], strengths):
            opposite = (-offset[0], -offset[1])
            message += w[..., None] * _shifted(cost, offset)
            message += _shifted(w[..., None] * cost, opposite)
        return damping * exponents + (1 - damping) * (logits - message)

    return jax.lax.fori_loop(0, steps, update, logits)


def connected_regions(labels: Array, neighbors: int = 4) -> Array:
    """Number the connected regions of equal labels: each pixel gets the least index in its region.

    Args:
      labels: ``(batch, height, width)`` integers.
      neighbors: 4 or 8.

    Returns:
      ``(batch, height, width)`` int32, the flat index (row·width + column) of the region's first pixel.

    Raises:
      ValueError: when ``neighbors`` is neither.

    Source: notes C7.3.

    Example:
      >>> connected_regions(jnp.array([[[0, 1, 0], [0, 1, 0]]]))[0]
      Array([[0, 1, 2],
             [0, 1, 2]], dtype=int32)
    """
    if neighbors not in NEIGHBORS:
        raise ValueError(f"neighbors: got {neighbors}, allowed are 4, 8")
    _, h, w = labels.shape
    first = jnp.broadcast_to(jnp.arange(h * w, dtype=jnp.int32).reshape(1, h, w), labels.shape)
    offsets = [o for half in NEIGHBORS[neighbors] for o in (half, (-half[0], -half[1]))]
    same = [(_shifted(labels[..., None], o, fill=-1)[..., 0] == labels) for o in offsets]

    def spread(carry):
        ids, _ = carry
        new = ids
        for o, alike in zip(offsets, same):
            new = jnp.where(alike, jnp.minimum(new, _shifted(ids[..., None], o, fill=h * w)[..., 0]), new)
        # Jump to the least index that the region's representative has found itself.
        new = jax.vmap(lambda n: n.reshape(-1)[n])(new)
        return new, jnp.any(new != ids)

    return jax.lax.while_loop(lambda carry: carry[1], spread, (first, jnp.array(True)))[0]


def _shifted(x: Array, offset: tuple[int, int], fill: float = 0) -> Array:
    """``x[:, i + rows, j + columns]`` at (i, j), ``fill`` where that lies outside."""
    pads = [(0, 0), *((max(-o, 0), max(o, 0)) for o in offset), (0, 0)]
    rows, columns = (slice(max(o, 0), max(o, 0) + m) for o, m in zip(offset, x.shape[1:3]))
    return jnp.pad(x, pads, constant_values=fill)[:, rows, columns]
