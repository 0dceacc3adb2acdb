"""Binary trees over a sequence: balanced, a chain, or at random, as parents of nodes in preorder."""

from __future__ import annotations

import numpy as np


def balanced_parents(leaves: int) -> np.ndarray:
    """``(2·leaves - 1,)`` parents of a binary tree as flat as can be, ⌈log₂ leaves⌉ levels, -1 at the root.

    The left part of n leaves has ⌈n/2⌉ of them.

    Raises:
      ValueError: for no leaves.

    >>> balanced_parents(3).tolist()  # ((a b) c)
    [-1, 0, 1, 1, 0]
    """
    return _split_parents(leaves, lambda n: (n + 1) // 2)


def chain_parents(leaves: int, side: str = "left") -> np.ndarray:
    """Parents of a tree that takes in one leaf after the other: ``((a b) c) …``, or from the right.

    Raises:
      ValueError: for no leaves, or another side than "left" and "right".

    >>> chain_parents(3, "right").tolist()  # (a (b c))
    [-1, 0, 0, 2, 2]
    """
    if side not in ("left", "right"):
        raise ValueError(f"side: got {side!r}, allowed are left, right")
    return _split_parents(leaves, lambda n: n - 1 if side == "left" else 1)


def random_parents(leaves: int, rng: np.random.Generator) -> np.ndarray:
    """Parents of a random binary tree: every division of n leaves into two parts is equally likely.

    Raises:
      ValueError: for no leaves.
    """
    return _split_parents(leaves, lambda n: int(rng.integers(1, n)))


def _split_parents(leaves: int, left_of) -> np.ndarray:
    if leaves < 1:
        raise ValueError(f"leaves: got {leaves}, allowed is at least 1")
    parent = np.empty(2 * leaves - 1, np.int32)
    todo, node = [(leaves, -1)], 0
    while todo:
        n, up = todo.pop()
        parent[node] = up
        if n > 1:
            left = left_of(n)
            todo += [(n - left, node), (left, node)]
        node += 1
    return parent
