"""The part of a state that one process holds, and the whole of all parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

_PLACE = re.compile(r"(?s)(.*)\|(\d+:\d+(?:,\d+:\d+)*)")
"""A part's name: that of its array, and where in it the part begins and ends along each axis."""


def lies_apart(tree: Any) -> bool:
    """Whether no process holds the whole of some array."""
    return any(
        isinstance(a, jax.Array) and not a.is_fully_addressable and not a.is_fully_replicated
        for a in jax.tree.leaves(tree)
    )


def held(tree: Any) -> dict[str, np.ndarray]:
    """Copies of what this process holds of a pytree: every number in one process only.

    Returns:
      By the path of a leaf the whole of it, or by the path and a place, such as ``"['w']|0:2,4:8"``, a part.
    """
    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.Array):
            if jax.process_index() == 0 and np.size(leaf):
                found[name] = np.array(leaf)
            continue
        for shard in leaf.addressable_shards:
            if shard.replica_id == 0 and shard.data.size:
                found[_key(name, shard.index, leaf.shape)] = np.array(shard.data)
    return found


def _key(name: str, index: tuple[slice, ...], shape: tuple[int, ...]) -> str:
    places = [s.indices(n)[:2] for s, n in zip(index, shape)]
    if all(place == (0, n) for place, n in zip(places, shape)):
        return name
    return f"{name}|{','.join(f'{low}:{high}' for low, high in places)}"


def join(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The whole arrays that all processes' parts make up.

    Raises:
      ValueError: when numbers of an array are missing.

    >>> import numpy as np
    >>> join([{"['w']|0:1": np.ones(1)}, {"['w']|1:3": np.zeros(2)}])
    {"['w']": array([1., 0., 0.])}
    """
    whole: dict[str, np.ndarray] = {}
    pieces: dict[str, list[tuple[tuple[slice, ...], np.ndarray]]] = {}
    for part in parts:
        for key, array in part.items():
            if (found := _PLACE.fullmatch(key)) is None:
                whole[key] = array
                continue
            place = tuple(slice(*map(int, axis.split(":"))) for axis in found[2].split(","))
            pieces.setdefault(found[1], []).append((place, array))
    for name, some in pieces.items():
        shape = tuple(max(place[axis].stop for place, _ in some) for axis in range(some[0][1].ndim))
        array = np.empty(shape, some[0][1].dtype)
        if sum(piece.size for _, piece in some) != array.size:
            raise ValueError(f"{name}: some of its numbers are in no part")
        for place, piece in some:
            array[place] = piece
        whole[name] = array
    return whole
