"""Random trees of the shapes that the cases need. Numpy only."""

from __future__ import annotations

import numpy as np

from scripts.bench.kinds import Case

LABEL, LEFT, RIGHT = range(3)
"""Columns of a node: its symbol, -1 inside a tree, and the rows of its children, -1 at a leaf."""

CHAIN_SHARE = 0.25
"""Of the trees of an uneven case, how many are chains; the others are stumps."""


def forest(case: Case, rng: np.random.Generator) -> np.ndarray:
    """The nodes of a case's trees, ``(trees, most nodes, 3)`` int32.

    The leaves of a tree come first, from left to right, then each node after its children, the root
    last; -1 fills the rest.
    """
    vocabulary, _, _, fewest, most = case.sizes
    nodes = np.full((case.examples, 2 * most - 1, 3), -1, np.int32)
    for row in range(case.examples):
        if case.kind == "uneven_trees":
            chain = rng.random() < CHAIN_SHARE
            leaves, cut = (most if chain else fewest), _last
        else:
            leaves, cut = int(rng.integers(fewest, most + 1)), _CUTS[case.kind]
        nodes[row, :leaves, LABEL] = rng.integers(0, vocabulary, leaves)
        nodes[row, leaves : 2 * leaves - 1, LEFT:] = _joined(leaves, cut, rng)
    return nodes


def _joined(leaves: int, cut, rng: np.random.Generator) -> np.ndarray:
    """``(leaves - 1, 2)`` rows of the children of each inner node; without recursion, chains may be long."""
    children: list[tuple[int, int]] = []
    done: list[int] = []  # rows of finished subtrees whose parents are not
    todo: list[tuple[int, int] | None] = [(0, leaves)]  # spans of leaves; None joins the last two
    while todo:
        span = todo.pop()
        if span is None:
            right, left = done.pop(), done.pop()
            done.append(leaves + len(children))
            children.append((left, right))
        elif span[1] - span[0] == 1:
            done.append(span[0])
        else:
            middle = cut(*span, rng)
            todo += [None, (middle, span[1]), (span[0], middle)]
    return np.array(children, np.int32).reshape(-1, 2)


def _anywhere(start: int, end: int, rng: np.random.Generator) -> int:
    return int(rng.integers(start + 1, end))


def _middle(start: int, end: int, rng: np.random.Generator) -> int:
    return (start + end) // 2


def _last(start: int, end: int, rng: np.random.Generator) -> int:
    return end - 1


_CUTS = {"random_trees": _anywhere, "balanced_trees": _middle, "chains": _last}
"""Where a span of leaves is cut in two."""


def count(nodes: np.ndarray) -> np.ndarray:
    """How many nodes each tree of ``(trees, most nodes, 3)`` has."""
    return ((nodes[..., LABEL] >= 0) | (nodes[..., LEFT] >= 0)).sum(-1)


def heights(nodes: np.ndarray) -> np.ndarray:
    """Of each node of one tree, without padding: 0 at a leaf, else one more than the higher child."""
    found = np.zeros(len(nodes), np.int32)
    for i, (_, left, right) in enumerate(nodes):
        if left >= 0:
            found[i] = 1 + max(found[left], found[right])
    return found
