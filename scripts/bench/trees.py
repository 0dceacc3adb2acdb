"""Random trees of the shapes that the cases need. Numpy only."""

from __future__ import annotations

import numpy as np

from scripts.bench.networks import TreeLstm

LABEL, PARENT = 0, 1
"""Columns of a node: its symbol, -1 inside a tree, and the row of its parent, -1 at the root."""

NONE = -2
"""Label of a row that is no node."""

CHAIN_SHARE = 0.25
"""Of the trees of an uneven forest, how many are chains; the others are stumps."""


def forest(network: TreeLstm, trees: int, rng: np.random.Generator) -> np.ndarray:
    """The nodes of random trees, ``(trees, most nodes, 2)`` int32.

    Each node comes before the nodes below it, a left child and all below before the right child; the rows
    behind a tree are `NONE`.
    """
    fewest, most = network.leaves
    nodes = np.full((trees, 2 * most - 1, 2), NONE, np.int32)
    for tree in nodes:
        if network.shape == "uneven":
            leaves, cut = (most if rng.random() < CHAIN_SHARE else fewest), _last
        else:
            leaves, cut = int(rng.integers(fewest, most + 1)), _CUTS[network.shape]
        row, todo = 0, [(0, leaves, -1)]  # spans of leaves, and their parents
        while todo:
            start, end, parent = todo.pop()
            tree[row] = -1, parent
            if end - start == 1:
                tree[row, LABEL] = rng.integers(network.symbols)
            else:
                middle = cut(start, end, rng)
                todo += [(middle, end, row), (start, middle, row)]
            row += 1
    return nodes


def _anywhere(start: int, end: int, rng: np.random.Generator) -> int:
    return int(rng.integers(start + 1, end))


def _middle(start: int, end: int, rng: np.random.Generator) -> int:
    return (start + end) // 2


def _last(start: int, end: int, rng: np.random.Generator) -> int:
    return end - 1


_CUTS = {"anywhere": _anywhere, "halves": _middle, "chains": _last}
"""Where a span of leaves is cut in two."""


def count(nodes: np.ndarray) -> np.ndarray:
    """How many nodes each tree of ``(trees, most nodes, 2)`` has."""
    return (nodes[..., LABEL] != NONE).sum(-1)


def children(tree: np.ndarray) -> np.ndarray:
    """``(nodes, 2)`` rows of the children of each node of one tree, -1 at leaves."""
    found = np.full((len(tree), 2), -1)
    for i, parent in enumerate(tree[:, PARENT]):
        if parent >= 0:
            found[parent, int(found[parent, 0] >= 0)] = i
    return found


def heights(tree: np.ndarray) -> np.ndarray:
    """Of each node of one tree: 0 at a leaf, else one more than the higher child."""
    found = np.zeros(len(tree), int)
    for i in range(len(tree) - 1, 0, -1):
        parent = tree[i, PARENT]
        found[parent] = max(found[parent], found[i] + 1)
    return found
