"""Pooling over regions found in each image: clusters of the places where its features are strong."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import chosen, positive
from dlnotes.typing import Array


class Regions(NamedTuple):
    """What `cluster_locations` finds.

    Attributes:
      centers: ``(batch, k, number of sizes)`` float32, in positions, ordered by their first coordinate and
        where it is equal by the next.
      labels: ``(batch, *sizes)`` int32, the region of each position: that of the nearest center, −1 for
        padding.
    """

    centers: Array
    labels: Array


def cluster_locations(
    strength: Array, k: int, *, steps: int = 10, threshold: float = 0.5, mask: Array | None = None
) -> Regions:
    """k-means of the positions of an image, weighted by the strength of what is found there.

    Minimizes ``Σ_p w_p min_r ‖p − c_r‖²`` by ``steps`` updates of Lloyd, in which each center moves to
    the weighted mean of the positions that are nearest to it. ``w_p`` is the strength where it is at least
    ``threshold`` times the image's greatest, else 0. The first center starts at the strongest
    position, each further one where ``w_p`` times the squared distance to the nearest so far is greatest.
    A center without positions of weight stays where it is.

    Args:
      strength: ``(batch, *sizes)``, not negative.
      k: number of regions.
      steps: number of updates.
      threshold: in [0, 1]; 0 lets every position take part.
      mask: ``(batch, *sizes)`` booleans, True where a position is part of the image.

    Returns:
      `Regions`; constants for differentiation.

    Raises:
      ValueError: on numbers that are not allowed or a mask of another shape.

    Source: notes C6.10; Lloyd, 1982; the start is the greedy form of Arthur and Vassilvitskii, 2007.
    """
    positive(k=k, steps=steps)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: got {threshold}, allowed is 0 to 1")
    if strength.ndim < 2:
        raise ValueError(f"strength: got shape {strength.shape}, allowed is (batch, at least one size)")
    if mask is not None and mask.shape != strength.shape:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is that of the positions {strength.shape}")
    batch, *sizes = strength.shape
    places = jnp.asarray(np.stack([i.ravel() for i in np.indices(sizes)], -1), jnp.float32)
    flat = jax.lax.stop_gradient(strength).astype(jnp.float32).reshape(batch, -1)
    real = jnp.ones(flat.shape, bool) if mask is None else mask.reshape(batch, -1)
    flat = jnp.where(real, flat, 0.0)
    weights = jnp.where(flat >= threshold * flat.max(-1, keepdims=True), flat, 0.0)

    def one(w: Array) -> tuple[Array, Array]:
        centers = _start(w, places, k)

        def update(_, centers: Array) -> Array:
            belongs = jax.nn.one_hot(_nearest(places, centers), k) * w[:, None]
            total = belongs.sum(0)[:, None]
            some = total > 0
            moved = jnp.where(some, belongs.T @ places / jnp.where(some, total, 1.0), centers)
            return moved

        centers = jax.lax.fori_loop(0, steps, update, centers)
        centers = centers[jnp.lexsort(tuple(centers.T[::-1]))]
        return centers, _nearest(places, centers)

    centers, labels = jax.vmap(one)(weights)
    return Regions(centers, jnp.where(real, labels, -1).reshape(batch, *sizes))


def clustered_pool(
    x: Array,
    k: int,
    kind: str = "max",
    *,
    steps: int = 10,
    threshold: float = 0.5,
    mask: Array | None = None,
) -> Array:
    """``y[r, c] = max, or mean, of x[p, c]`` over the positions p of region r, the image's own regions.

    The regions are those of `cluster_locations` for the strength ``w_p = ‖x_p‖``, the length of the
    vector of features at a position. The gradient flows through the features, not through the regions,
    which are piecewise constant. A region without positions gives 0.

    Args:
      x: ``(batch, *sizes, channels)``.
      k: number of regions.
      kind: "max" or "mean".
      steps, threshold, mask: as of `cluster_locations`.

    Returns:
      ``(batch, k, channels)``, the regions from top to bottom and from left to right.

    Raises:
      ValueError: on arguments that are not allowed.

    Source: notes C6.10.

    Example:
      Two bright spots on a line, each the maximum of its own region:

      >>> clustered_pool(jnp.array([0.0, 3.0, 0.0, 0.0, 0.0, 2.0]).reshape(1, 6, 1, 1), 2)[0, :, 0]
      Array([3., 2.], dtype=float32)
    """
    chosen("kind", kind, {"max": None, "mean": None})
    features = jax.lax.stop_gradient(x).astype(jnp.float32)
    strength = jnp.sqrt(jnp.sum(features**2, -1))
    regions = cluster_locations(strength, k, steps=steps, threshold=threshold, mask=mask)
    values = x.reshape(x.shape[0], -1, x.shape[-1])
    belongs = jax.nn.one_hot(regions.labels.reshape(x.shape[0], -1), k, dtype=x.dtype)
    counts = belongs.sum(1)[..., None]
    if kind == "mean":
        sums = jnp.einsum("bpk,bpc->bkc", belongs, values)
        return sums / jnp.broadcast_to(jnp.maximum(counts, jnp.ones_like(counts)), sums.shape)
    # One region after the other: all at once would hold k copies of the features.
    lowest = jnp.asarray(-jnp.inf, x.dtype)
    tops = [jnp.where(belongs[..., r, None] > 0, values, lowest).max(1) for r in range(k)]
    return jnp.where(counts > 0, jnp.stack(tops, 1), jnp.zeros((), x.dtype))


def _start(w: Array, places: Array, k: int) -> Array:
    """Centers one after the other, each where the cost that remains is greatest, (k, sizes)."""
    first = places[jnp.argmax(w)]
    centers = [first]
    nearest = ((places - first[None]) ** 2).sum(-1)
    for _ in range(1, k):
        center = places[jnp.argmax(w * nearest)]
        nearest = jnp.minimum(nearest, ((places - center[None]) ** 2).sum(-1))
        centers.append(center)
    return jnp.stack(centers)


def _nearest(places: Array, centers: Array) -> Array:
    """For each place the number of the nearest center."""
    return ((places[:, None] - centers[None]) ** 2).sum(-1).argmin(-1).astype(jnp.int32)
