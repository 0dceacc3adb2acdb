"""Products in which each row meets the matrix of its group: one branch of many is computed, and only that.

The rows are sorted by group and laid out in tiles of equal size, each of one group. So a tile is one dense
product, nothing is dropped however uneven the groups are, and the arrays have the same shapes for any groups:
other groups are the same compiled program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from dlnotes.devices.platform import platform
from dlnotes.layers.feedforward.dense import Dense
from dlnotes.typing import Array

TILE = 128
"""Rows of a tile, where there are enough rows for it."""

OPEN_TILE = 32
"""Rows of a tile in an exported program, which takes batches of any size."""


FEW = 32
"""Groups up to which counting the rows of each is faster than sorting them."""


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
    slot_in_group, counts = _ranks(group, groups)
    used = -(-counts // tile)
    ends = jnp.cumsum(used)
    slot = ((ends - used) * tile)[group] + slot_in_group
    row = jnp.full(tiles * tile, n, jnp.int32).at[slot].set(jnp.arange(n, dtype=jnp.int32))
    of_tile = jnp.searchsorted(ends, jnp.arange(tiles, dtype=ends.dtype), side="right").astype(jnp.int32)
    return Groups(slot, row.reshape(tiles, tile), of_tile, counts)


def _ranks(group: Array, groups: int) -> tuple[Array, Array]:
    """How many rows before each row are of its group, and the rows of each group."""
    if groups <= FEW:
        own = (group[:, None] == jnp.arange(groups, dtype=group.dtype)[None]).astype(jnp.int32)
        so_far = jnp.cumsum(own, axis=0)
        return jnp.sum(own * so_far, axis=1) - 1, jnp.sum(own, axis=0)
    order = jnp.argsort(group, stable=True)
    counts = jnp.bincount(group, length=groups).astype(jnp.int32)
    first = jnp.cumsum(counts) - counts
    within = jnp.arange(group.shape[0], dtype=jnp.int32) - first[group[order]]
    return jnp.zeros_like(within).at[order].set(within), counts


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


@jax.custom_vjp
def _over_tiles(x: Array, W: Array, b: Array, groups: Groups) -> Array:
    """One dense product a tile, one after another: what a CPU is fastest with."""
    return _forward(x, W, b, groups)


@sequential_vmap  # a tile more or less is a product more or less, which members side by side could not skip
def _forward(x: Array, W: Array, b: Array, groups: Groups) -> Array:
    def of_group(z: Array, own: tuple[Array, ...]) -> tuple[Array, None]:
        W, b, first, end = own

        def product(t: Array, z: Array) -> Array:
            return z.at[t].set(_tile(x, groups, t) @ W + b[None])

        return jax.lax.fori_loop(first, end, product, z), None

    places = jnp.zeros((*groups.row.shape, W.shape[2]), x.dtype)
    return _back(jax.lax.scan(of_group, places, (W, b, *_tiles(groups)))[0], groups)


@sequential_vmap
def _back_to_rows(W: Array, dz: Array, groups: Groups) -> Array:
    """``dx = dz Wᵀ`` of each row's own group."""
    return _forward(dz, jnp.swapaxes(W, 1, 2), jnp.zeros_like(W[:, :, 0]), groups)


@sequential_vmap
def _back_to_params(x: Array, dz: Array, groups: Groups) -> tuple[Array, Array]:
    """``dW = Σ x dzᵀ`` and ``db = Σ dz`` over the rows of each group."""

    def of_group(tiles: tuple[Array, Array]) -> tuple[Array, Array]:
        def product(t: Array, so_far: tuple[Array, Array]) -> tuple[Array, Array]:
            d = _tile(dz, groups, t)
            return so_far[0] + _tile(x, groups, t).T @ d, so_far[1] + d.sum(0)

        start = jnp.zeros((x.shape[1], dz.shape[1]), x.dtype), jnp.zeros(dz.shape[1], x.dtype)
        return jax.lax.fori_loop(*tiles, product, start)

    return jax.lax.map(of_group, _tiles(groups))


def _tiles(groups: Groups) -> tuple[Array, Array]:
    """The first tile of each group, and the one after its last."""
    used = -(-groups.counts // groups.row.shape[1])
    ends = jnp.cumsum(used)
    return ends - used, ends


def _tile(x: Array, groups: Groups, tile: Array) -> Array:
    """The rows of a tile, zeros where there is none: copied where they are needed, they stay in the cache."""
    rows = jax.lax.dynamic_index_in_dim(groups.row, tile, keepdims=False)
    return x.at[rows].get(mode="fill", fill_value=0)


_over_tiles.defvjp(
    lambda x, W, b, groups: (_forward(x, W, b, groups), (x, W, groups)),
    lambda kept, dz: (_back_to_rows(kept[1], dz, kept[2]), *_back_to_params(kept[0], dz, kept[2]), None),
)


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
