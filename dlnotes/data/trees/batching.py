"""Trees of any shape as flat arrays of one size, `Trees`, in the order in which a net computes them.

Trees come as lists of nodes, each with the index of its parent; the order of siblings is the order of the
list. `arrange` checks them and lays them out, all trees at once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data.assemble import length_mask
from dlnotes.data.dataset import Trees


class Arranged(NamedTuple):
    """Trees as arrays, and where each given node went.

    Attributes:
      trees: `Trees` of n trees with N slots.
      mask: ``(n, N)`` booleans, True at real nodes.
      tree: ``(nodes,)`` the tree of each given node.
      slot: ``(nodes,)`` its slot in that tree.
    """

    trees: Trees
    mask: np.ndarray
    tree: np.ndarray
    slot: np.ndarray

    def placed(self, values: Any, *, fill: Any = -1) -> np.ndarray:
        """One value of each given node as ``(n, N)``, ``fill`` where there is no node."""
        values = np.asarray(values)
        out = np.full(self.mask.shape, fill, values.dtype)
        out[self.tree, self.slot] = values
        return out


def arrange(
    label: Any,
    parent: Any,
    sizes: Any,
    *,
    nodes: int | None = None,
    arity: int | None = None,
    symbols: int | None = None,
) -> Arranged:
    """Lists of nodes with their parents as `Trees`: leaves from left to right, then the deepest nodes first.

    Args:
      label: ``(nodes of all trees,)`` int label of each node, one tree after the other; -1 for none.
      parent: ``(nodes of all trees,)`` index of the parent within the tree's own list; -1 at its root.
      sizes: ``(n,)`` number of nodes of each tree.
      nodes: slots of a tree, N; the largest size if not given.
      arity: children that a node may have, A; the most that one has if not given, at least 1.
      symbols: how many labels there are; any number if not given.

    Raises:
      ValueError: naming tree and node, for lists that are not trees (no root, several roots, a parent that
        is not there, a cycle) or do not fit.

    >>> arrange([-1, 5, -1, 6, 7], [-1, 0, 0, 2, 2], [5]).trees.label  # (5 (6 7))
    array([[ 5,  6,  7, -1, -1]], dtype=int32)
    """
    label, parent, sizes = (np.asarray(a, np.int32) for a in (label, parent, sizes))
    if sizes.ndim != 1 or label.shape != parent.shape or label.shape != (int(sizes.sum()),):
        raise ValueError(
            f"label, parent: got shapes {label.shape} and {parent.shape}, the sizes add up to {sizes.sum()}"
        )
    if len(sizes) == 0 or int(sizes.min()) < 1:
        raise ValueError(f"sizes: got {sizes.tolist()}, allowed is at least one tree, of at least one node")
    n, width = len(sizes), int(sizes.max()) if nodes is None else nodes
    if int(sizes.max()) > width:
        raise ValueError(f"nodes: got {width}, tree {int(sizes.argmax())} has {int(sizes.max())}")
    start = np.cumsum(sizes) - sizes
    tree = np.repeat(np.arange(n, dtype=np.int32), sizes)
    wrong = (label < -1) | (label >= (np.iinfo(np.int32).max if symbols is None else symbols))
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"label: node {at - start[tree[at]]} of tree {tree[at]} has label {label[at]}, allowed is -1, "
            f"none, {'or more' if symbols is None else f'to {symbols - 1}'}"
        )
    up = _checked_parents(parent, sizes, start, tree)
    rank, counts = _siblings(up)
    most = max(1, int(counts.max(initial=0)))
    arity = most if arity is None else arity
    if most > arity:
        at = int(counts.argmax())
        raise ValueError(
            f"arity: got {arity}, but node {at - start[tree[at]]} of tree {tree[at]} has {most} children"
        )
    depth = _depths(up, tree, start)
    height, place = _heights_and_places(up, depth, rank)
    key = np.where(counts > 0, (depth.max(initial=0) - depth) * (height.max(initial=0) + 1) + height + 1, 0)
    # Only the order of the keys matters: small ones leave room for a slot's number beside them.
    used, key = np.unique(key, return_inverse=True)
    key = key.reshape(-1).astype(np.int32)
    by_slot = np.lexsort((place, tree.astype(np.int64) * len(used) + key))
    slot = np.empty(len(tree), np.int32)
    slot[by_slot] = np.arange(len(tree)) - start[tree[by_slot]]
    trees = Trees(
        np.full((n, width), -1, np.int32),
        np.full((n, width, arity), -1, np.int32),
        np.full((n, width), len(used), np.int32),
    )
    trees.label[tree, slot] = label
    trees.order[tree, slot] = key
    below = up >= 0
    trees.children[tree[below], slot[up[below]], rank[below]] = slot[below]
    return Arranged(trees, length_mask(sizes, width), tree, slot)


def _checked_parents(
    parent: np.ndarray, sizes: np.ndarray, start: np.ndarray, tree: np.ndarray
) -> np.ndarray:
    """Parents as places in the lists of all trees together, -1 at roots."""
    wrong = (parent < -1) | (parent >= sizes[tree])
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"parent: node {at - start[tree[at]]} of tree {tree[at]} has parent {parent[at]}, "
            f"allowed is 0 to {sizes[tree[at]] - 1}, or -1 at the root"
        )
    roots = np.bincount(tree[parent < 0], minlength=len(sizes))
    if (roots != 1).any():
        at = int((roots != 1).argmax())
        found = "no root" if roots[at] == 0 else f"{roots[at]} roots"
        raise ValueError(f"parent: tree {at} has {found}, allowed is one node with parent -1")
    return np.where(parent < 0, -1, parent + start[tree])


def _siblings(up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each node among its siblings, and the number of children of each node."""
    counts = np.bincount(up[up >= 0], minlength=len(up))
    by_parent = np.argsort(up, kind="stable")
    sorted_up = up[by_parent]
    first = np.searchsorted(sorted_up, sorted_up)
    rank = np.empty(len(up), np.int64)
    rank[by_parent] = np.arange(len(up)) - first
    return rank, counts


def _depths(up: np.ndarray, tree: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Steps from the root, by doubling: after k rounds a node points 2^k steps up, or at its root."""
    nodes = np.arange(len(up))
    depth, far = (up >= 0).astype(np.int64), np.where(up < 0, nodes, up)
    root = up < 0
    for _ in range(len(up).bit_length() + 1):
        if root[far].all():
            return depth
        depth, far = depth + depth[far], far[far]
    at = int((~root[far]).argmax())
    raise ValueError(f"parent: node {at - start[tree[at]]} of tree {tree[at]} is in a cycle, or below one")


def _heights_and_places(up: np.ndarray, depth: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps down to the furthest leaf of each node, and its place in preorder within its tree."""
    size, height = np.ones(len(up), np.int64), np.zeros(len(up), np.int64)
    # Level by level; siblings lie beside each other, in their order.
    by_level = np.lexsort((rank, up, depth))
    ends = np.cumsum(np.bincount(depth))
    levels = [by_level[first:last] for first, last in pairwise(ends)]
    for level in reversed(levels):
        np.maximum.at(height, up[level], height[level] + 1)
        np.add.at(size, up[level], size[level])
    place = np.zeros(len(up), np.int64)
    for level in levels:
        before = np.cumsum(size[level]) - size[level]
        eldest = np.maximum.accumulate(np.where(rank[level] == 0, np.arange(len(level)), 0))
        place[level] = place[up[level]] + 1 + before - before[eldest]
    return height, place
