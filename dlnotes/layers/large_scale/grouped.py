"""Products in which each row meets the matrix of its group: one branch of many is computed, and only that.

The rows are sorted by group and laid out in tiles of equal size, each of one group. So a tile is one dense
product, nothing is dropped however uneven the groups are, and the arrays have the same shapes for any groups:
other groups are the same compiled program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.devices.platform import platform
from dlnotes.layers.feedforward.dense import Dense
from dlnotes.typing import Array

TILE = 128
"""Rows of a tile, where there are enough rows for it."""

OPEN_TILE = 32
"""Rows of a tile in an exported program, which takes batches of any size."""


class Groups(NamedTuple):
    """Where the rows of a batch lie, sorted by group in tiles.

    Attributes:
      slot: ``(n,)`` int32 place of each row.
      row: ``(tiles, tile)`` int32 the row at each place, n where there is none.
      group: ``(tiles,)`` int32 group of each tile, the number of groups where it is not used.
      counts: ``(groups,)`` int32 rows of each group.
    """

    slot: Array
    row: Array
    group: Array
    counts: Array


def sort_by_group(group: Array, groups: int, *, tile: int | None = None) -> Groups:
    """Sort the rows of a batch by group, each group padded to whole tiles.

    Args:
      group: ``(n,)`` whole numbers in ``0 … groups − 1``.
      groups: how many there are.
      tile: rows of a tile; by default `TILE`, and less for few rows or where n is left open.

    Returns:
      `Groups` with ``⌊n / tile⌋ + groups`` tiles, which always suffice.

    Raises:
      ValueError: when ``group`` is not a vector of whole numbers, or a size is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.layers import sort_by_group
      >>> sort_by_group(jnp.array([1, 0, 1, 1]), 2, tile=2).group.tolist()
      [0, 1, 1, 2]

    Source: notes L13.10, «partiendo los ejemplos en grupos que tomen la misma ramificación».
    """
    if group.ndim != 1 or not jnp.issubdtype(group.dtype, jnp.integer):
        raise ValueError(f"group: got {group.dtype}{list(group.shape)}, a vector of whole numbers is needed")
    if groups < 1 or (tile is not None and tile < 1):
        raise ValueError(f"groups, tile: got {groups} and {tile}, allowed is at least 1")
    n = group.shape[0]
    tile = tile or (min(TILE, max(8, n // (2 * groups))) if isinstance(n, int) else OPEN_TILE)
    tiles = n // tile + groups
    order = jnp.argsort(group, stable=True).astype(jnp.int32)
    counts = jnp.bincount(group, length=groups).astype(jnp.int32)
    ends = jnp.cumsum(-(-counts // tile))  # in tiles
    first_row, first_tile = jnp.cumsum(counts) - counts, ends - -(-counts // tile)
    within = jnp.arange(n, dtype=jnp.int32) - first_row[group[order]]
    places = first_tile[group[order]] * tile + within
    slot = jnp.zeros(n, jnp.int32).at[order].set(places)
    row = jnp.full(tiles * tile, n, jnp.int32).at[places].set(order)
    of_tile = jnp.searchsorted(ends, jnp.arange(tiles, dtype=ends.dtype), side="right").astype(jnp.int32)
    return Groups(slot, row.reshape(tiles, tile), of_tile, counts)


def grouped_dense(params: Dense, x: Array, groups: Groups) -> Array:
    """The affine map of each row's own group, ``z_i = x_i W_{g(i)} + b_{g(i)}``.

    The work is that of one group for every row, up to the padding of the last tile of each.

    Args:
      params: ``W`` ``(groups, inputs, outputs)`` and ``b`` ``(groups, outputs)``.
      x: ``(n, inputs)``, of the dtype of ``W``.
      groups: of the n rows, from `sort_by_group`.

    Returns:
      ``(n, outputs)``.

    Raises:
      ValueError: when the shapes do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes import layers
      >>> own = layers.Dense(jnp.array([[[2.0]], [[3.0]]]), jnp.zeros((2, 1)))
      >>> groups = layers.sort_by_group(jnp.array([1, 0, 1]), 2)
      >>> layers.grouped_dense(own, jnp.ones((3, 1)), groups).ravel().tolist()
      [3.0, 2.0, 3.0]
    """
    W: Any = params.W
    b: Any = params.b
    if W.ndim != 3 or b.shape != (W.shape[0], W.shape[2]):
        raise ValueError(
            f"params: got W of shape {W.shape} and b of {b.shape}, needed are (groups, inputs, outputs) and "
            "(groups, outputs)"
        )
    if x.ndim != 2 or x.shape[1] != W.shape[1]:
        raise ValueError(f"x: got shape {x.shape}, W of shape {W.shape} takes (rows, {W.shape[1]})")
    if groups.slot.shape[0] != x.shape[0] or groups.counts.shape[0] != W.shape[0]:
        raise ValueError(
            f"groups: got {groups.slot.shape[0]} rows in {groups.counts.shape[0]} groups, allowed are the "
            f"{x.shape[0]} rows of x in the {W.shape[0]} groups of W"
        )
    return _WAYS[platform()](x, W, b, groups)


def _rows(x: Array, groups: Groups) -> Array:
    """The rows in tiles, ``(tiles, tile, …)``, zeros where there is none."""
    return jnp.concatenate([x, jnp.zeros((1, x.shape[1]), x.dtype)])[groups.row]


def _back(tiles: Array, groups: Groups) -> Array:
    """The rows in their own order again."""
    return tiles.reshape(-1, tiles.shape[-1])[groups.slot]


def _over_tiles(x: Array, W: Array, b: Array, groups: Groups) -> Array:
    """One dense product a tile, one after another: what a CPU is fastest with."""
    return _back(_tile_products(_rows(x, groups), W, b, groups.group), groups)


@partial(jax.custom_vjp)
def _tile_products(x: Array, W: Array, b: Array, group: Array) -> Array:
    def one(of: tuple[Array, Array]) -> Array:
        rows, g = of
        zeros = jnp.zeros((rows.shape[0], W.shape[2]), x.dtype)
        return jax.lax.cond(
            g < W.shape[0],
            lambda: (
                rows @ jax.lax.dynamic_index_in_dim(W, g, keepdims=False) + jax.lax.dynamic_index_in_dim(b, g)
            ),
            lambda: zeros,
        )

    return jax.lax.map(one, (x, group))


def _forward(x: Array, W: Array, b: Array, group: Array) -> tuple[Array, Any]:
    return _tile_products(x, W, b, group), (x, W, group)


def _backward(kept: Any, dz: Array) -> tuple[Array, Array, Array, None]:
    x, W, group = kept

    def one(total: tuple[Array, Array], of: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        rows, d, g = of

        def used() -> tuple[tuple[Array, Array], Array]:
            dW, db = (
                jax.lax.dynamic_update_index_in_dim(
                    t, jax.lax.dynamic_index_in_dim(t, g, keepdims=False) + part, g, 0
                )
                for t, part in zip(total, (rows.T @ d, d.sum(0)))
            )
            return (dW, db), d @ jax.lax.dynamic_index_in_dim(W, g, keepdims=False).T

        return jax.lax.cond(g < W.shape[0], used, lambda: (total, jnp.zeros_like(rows)))

    zeros = jnp.zeros_like(W), jnp.zeros((W.shape[0], W.shape[2]), W.dtype)
    (dW, db), dx = jax.lax.scan(one, zeros, (x, dz, group))
    return dx, dW, db, None


_tile_products.defvjp(_forward, _backward)


def _at_once(x: Array, W: Array, b: Array, groups: Groups) -> Array:
    """All tiles in one batched product, each with a copy of its group's matrix."""
    own = jnp.minimum(groups.group, W.shape[0] - 1)
    return _back(jnp.einsum("tri,tio->tro", _rows(x, groups), W[own]) + b[own][:, None], groups)


def _ragged(x: Array, W: Array, b: Array, groups: Groups) -> Array:
    """The compiler's own product of sorted rows, which a TPU has."""
    flat = groups.row.reshape(-1)
    order = flat[jnp.nonzero(flat < x.shape[0], size=x.shape[0])[0]]
    found = jax.lax.ragged_dot(x[order], W, groups.counts)
    back = jnp.zeros_like(order).at[order].set(jnp.arange(x.shape[0], dtype=order.dtype))
    group = jnp.repeat(jnp.arange(W.shape[0], dtype=jnp.int32), groups.counts, total_repeat_length=x.shape[0])
    return (found + b[group])[back]


def masked_dense_of_groups(x: Array, W: Array, b: Array, group: Array) -> Array:
    """The same by computing all groups for every row and keeping one: as many times the work.

    Args:
      x: ``(n, inputs)``.
      W, b: as in `grouped_dense`.
      group: ``(n,)`` of each row.
    """
    every = jnp.einsum("ni,gio->ngo", x, W) + b[None]
    chosen = (group[:, None] == jnp.arange(W.shape[0], dtype=group.dtype)[None]).astype(x.dtype)
    return jnp.einsum("ngo,ng->no", every, chosen)


_WAYS: dict[str, Callable[[Array, Array, Array, Groups], Array]] = {
    "cpu": _over_tiles,
    "gpu": _at_once,
    "tpu": _ragged,
}
"""By platform. Measured on a CPU; on the others not yet."""
