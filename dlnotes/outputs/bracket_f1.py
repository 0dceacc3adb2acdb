"""How alike two trees over the same leaves are: the brackets that they share.

A node above the leaves brackets the leaves below it. Trees are children arrays as in
`dlnotes.data.dataset.Trees`: one list of slots a tree, leaves first and in their order, children before
parents, -1 where there is no child.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

Bracket = tuple[int, int]
"""The first leaf, and the one behind the last."""


def brackets(children: Any, *, whole: bool = False) -> list[set[Bracket]]:
    """The brackets of each tree, without those of a single leaf.

    Args:
      children: ``(n, N, A)`` slots of the children of each node, padding behind the root.
      whole: with the bracket around all leaves, which every tree has.

    Raises:
      ValueError: for another shape, or a child that does not come before its parent.

    Example:
      >>> brackets([[[-1, -1], [-1, -1], [-1, -1], [1, 2], [0, 3]]])
      [{(1, 3)}]
    """
    children = np.asarray(children)
    if children.ndim != 3:
        raise ValueError(f"children: got shape {children.shape}, allowed is (trees, nodes, arity)")
    n, N, _ = children.shape
    inner = (children >= 0).any(2)
    if (children >= np.arange(N)[:, None]).any():
        raise ValueError("children: got a child in a slot that is not before its parent's")
    # Leaves come first, and what follows the root has no children either.
    leaves = np.where(inner.any(1), inner.argmax(1), 1)
    first = np.broadcast_to(np.arange(N), (n, N)).copy()
    behind = first + 1
    rows = np.arange(n)[:, None]
    for slot in range(N):
        below = children[:, slot]
        there = below >= 0
        start = np.where(there, first[rows, below], N).min(1)
        end = np.where(there, behind[rows, below], 0).max(1)
        first[:, slot] = np.where(inner[:, slot], start, first[:, slot])
        behind[:, slot] = np.where(inner[:, slot], end, behind[:, slot])
    size = behind - first
    kept = inner & (size > 1) & (whole | (size < leaves[:, None]))
    return [{(int(i), int(j)) for i, j in zip(first[b][k], behind[b][k])} for b, k in enumerate(kept)]


def bracket_f1(found: Any, true: Any, *, whole: bool = False) -> np.ndarray:
    """Unlabeled F1 of each tree: ``2 |found ∩ true| / (|found| + |true|)``, of sets of brackets.

    Two binary trees have as many brackets each, so that precision and recall are the same.

    Args:
      found, true: ``(n, N, A)`` children each, over the same leaves; the numbers of slots may differ.
      whole: count the bracket around all leaves too, as some publications do. It is always right.

    Returns:
      ``(n,)``; NaN for trees that have no brackets, as those of two leaves.

    Raises:
      ValueError: when there are not as many of the one as of the other.

    Source: Black et al., 1991 (PARSEVAL), without labels.

    Example:
      >>> leaf = [-1, -1]
      >>> left = [[leaf, leaf, leaf, leaf, [0, 1], [4, 2], [5, 3]]]  # ((0 1) 2) 3
      >>> balanced = [[leaf, leaf, leaf, leaf, [0, 1], [2, 3], [4, 5]]]  # (0 1) (2 3)
      >>> bracket_f1(left, balanced).tolist(), bracket_f1(left, balanced, whole=True).round(2).tolist()
      ([0.5], [0.67])
    """
    a, b = brackets(found, whole=whole), brackets(true, whole=whole)
    if len(a) != len(b):
        raise ValueError(f"found, true: got {len(a)} and {len(b)} trees, allowed are as many of each")
    return np.array([2 * len(x & y) / (len(x) + len(y)) if x or y else np.nan for x, y in zip(a, b)])


def self_agreement(found: Sequence[Any], *, whole: bool = False) -> np.ndarray:
    """How alike the trees are that several learners found: the mean F1 of each pair of learners.

    Args:
      found: for each learner ``(n, N, A)`` children of the same n inputs.
      whole: as of `bracket_f1`.

    Returns:
      ``(pairs,)``, in the order (0, 1), (0, 2), …, (1, 2), …; trees without brackets are left out.

    Raises:
      ValueError: for fewer than two learners.

    Source: Williams, Drozdov and Bowman, 2018.
    """
    if len(found) < 2:
        raise ValueError(f"found: got the trees of {len(found)} learner, allowed are two or more")
    return np.array([np.nanmean(bracket_f1(a, b, whole=whole)) for a, b in combinations(found, 2)])
