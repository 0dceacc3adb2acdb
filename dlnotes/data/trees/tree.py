"""One tree by itself: names at its nodes, from nested lists, from Python source, from lists of children.

A `Tree` is what a person writes or draws; `batch_trees` turns many of them into the arrays of a net, and
`tree_at` one of those back. See `dlnotes.data.trees.brackets` and `dlnotes.data.trees.smiles` for two
written forms.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes import bounded
from dlnotes.data.dataset import Trees
from dlnotes.data.trees.batching import Arranged, arrange
from dlnotes.data.trees.shapes import balanced_parents, chain_parents, random_parents

UNKNOWN = "<unk>"
Head = Literal["child", "label", "target"]
"""What the first symbol of a bracket is: a child as all others, the name of the node, or its class."""


class Tree(NamedTuple):
    """One tree, its nodes in preorder: a node, then the trees below it from left to right.

    Attributes:
      label: name of each node, "" where it has none.
      parent: ``(nodes,)`` int32 index of each node's parent, -1 at the root, which is the first node.
      target: class of each node, "" where it has none; empty where no node has one.
    """

    label: tuple[str, ...]
    parent: np.ndarray
    target: tuple[str, ...] = ()

    @property
    def children(self) -> list[list[int]]:
        """The children of each node, from left to right."""
        below: list[list[int]] = [[] for _ in self.label]
        for node, up in enumerate(self.parent.tolist()):
            if up >= 0:
                below[up].append(node)
        return below

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the leaves, from left to right."""
        inner = set(self.parent.tolist())
        return tuple(name for node, name in enumerate(self.label) if node not in inner)


def tree_of_children(
    label: Sequence[str], children: Sequence[Sequence[int]], target: Sequence[str] = ()
) -> Tree:
    """A tree from the list of each node's children, nodes in any order.

    Args:
      label: name of each node, "" for none.
      children: for each node the indices of its children, from left to right.
      target: class of each node, "" for none; or empty.

    Raises:
      ValueError: naming the node, when a child is missing, a node has two parents, there is no root or
        several, or nodes are in a cycle.

    >>> tree_of_children(["a", "b", "top"], [[], [], [1, 0]]).label
    ('top', 'b', 'a')
    """
    n = len(label)
    if n == 0 or len(children) != n or len(target) not in (0, n):
        raise ValueError(
            f"label, children, target: got {n}, {len(children)} and {len(target)} nodes, allowed are as many "
            "of each, at least one (or no target)"
        )
    parents: dict[int, int] = {}
    for node, below in enumerate(children):
        for child in below:
            if not 0 <= child < n:
                raise ValueError(
                    f"children: node {node} has child {child}, which is missing; there are {n} nodes"
                )
            if child in parents:
                raise ValueError(f"children: node {child} has two parents, {parents[child]} and {node}")
            parents[child] = node
    roots = [node for node in range(n) if node not in parents]
    if len(roots) != 1:
        found = "no root" if not roots else f"{len(roots)} roots, {', '.join(map(str, roots))}"
        raise ValueError(f"children: there is {found}, allowed is one node without a parent")
    tree, order = _preorder(roots[0], children.__getitem__, lambda node: str(label[node]))
    if len(order) < n:
        lost = min(set(range(n)) - set(order))
        raise ValueError(f"children: node {lost} is in a cycle, or below one")
    return tree._replace(target=tuple(target[node] for node in order)) if target else tree


def _preorder(
    root: Any, children: Callable[[Any], Sequence[Any]], label: Callable[[Any], str]
) -> tuple[Tree, list[Any]]:
    """The tree below ``root`` of anything that has children and a name, and its nodes in order."""
    order: list[Any] = []
    parent: list[int] = []
    todo = [(root, -1)]
    while todo:
        node, up = todo.pop()
        todo += [(child, len(order)) for child in reversed(children(node))]
        order.append(node)
        parent.append(up)
    return Tree(tuple(map(label, order)), np.array(parent, np.int32)), order


def nested_tree(nested: Any, head: Head = "child") -> Tree:
    """A tree from lists or tuples inside one another.

    Args:
      nested: anything else than a list or tuple is a leaf with its text as name; a list or tuple is a node.
      head: what the first part of a list is, see `Head`. With "target" a list of a class and one name is a
        leaf that has this class.

    Raises:
      ValueError: for an empty list, or one whose head is a list where a name is needed.

    >>> nested_tree(["+", "a", ["*", 2, "b"]], head="label").label
    ('+', 'a', '*', '2', 'b')
    """
    if head not in ("child", "label", "target"):
        raise ValueError(f"head: got {head!r}, allowed are child, label, target")

    def is_list(part: Any) -> bool:
        return isinstance(part, (list, tuple))

    def check(part: Any) -> None:
        if len(part) == 0:
            raise ValueError("nested: a list is empty")
        if head != "child" and is_list(part[0]):
            raise ValueError(f"nested: a list has no {head} before its parts, it begins with {part[0]!r}")
        if head == "target" and len(part) < 2:
            raise ValueError(f"nested: nothing follows the class {part[0]!r}")

    def is_leaf(part: Any) -> bool:
        return not is_list(part) or (head == "target" and len(part) == 2 and not is_list(part[1]))

    def below(part: Any) -> Sequence[Any]:
        if is_list(part):
            check(part)
        return () if is_leaf(part) else part[head != "child" :]

    def name(part: Any) -> str:
        if not is_list(part):
            return str(part)
        if head == "label":
            return str(part[0])
        return str(part[1]) if is_leaf(part) else ""

    tree, order = _preorder(nested, below, name)
    if head != "target":
        return tree
    return tree._replace(target=tuple(str(part[0]) if is_list(part) else "" for part in order))


def python_tree(source: str | ast.AST) -> Tree:
    """The syntax tree of Python source, as Python's own `ast` gives it.

    A node is named after its class; names, attributes and constants hang below as leaves with their text.

    Raises:
      ValueError: when it is no Python.

    >>> python_tree(ast.parse("x + 1", mode="eval").body).label
    ('BinOp', 'Name', 'x', 'Add', 'Constant', '1')
    """
    try:
        root = ast.parse(source) if isinstance(source, str) else source
    except SyntaxError as error:
        raise ValueError(f"source: line {error.lineno}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("source: it is nested more deeply than Python reads") from None

    def below(node: Any) -> list[Any]:
        if not isinstance(node, ast.AST):
            return []
        parts: list[Any] = []
        for field, value in ast.iter_fields(node):
            if isinstance(node, ast.Constant) and field == "value":
                parts.append(repr(value))
            else:
                parts += value if isinstance(value, list) else [value]
        return [p for p in parts if p is not None and not isinstance(p, ast.expr_context)]

    return _preorder(root, below, lambda n: type(n).__name__ if isinstance(n, ast.AST) else str(n))[0]


def balanced_tree(leaves: Sequence[str]) -> Tree:
    """A binary tree over a sequence, as flat as can be.

    >>> balanced_tree("abc").label  # ((a b) c)
    ('', '', 'a', 'b', 'c')
    """
    return _over(leaves, balanced_parents(len(leaves)))


def chain_tree(leaves: Sequence[str], side: Literal["left", "right"] = "left") -> Tree:
    """A binary tree that takes in one leaf after the other: ``((a b) c) …``, or from the right."""
    return _over(leaves, chain_parents(len(leaves), side))


def random_tree(leaves: Sequence[str], rng: np.random.Generator) -> Tree:
    """A binary tree over a sequence: every division of a part into two is equally likely."""
    return _over(leaves, random_parents(len(leaves), rng))


def _over(leaves: Sequence[str], parent: np.ndarray) -> Tree:
    inner, names = set(parent.tolist()), iter(leaves)
    return Tree(tuple("" if node in inner else next(names) for node in range(len(parent))), parent)


def binarized(tree: Tree, side: Literal["left", "right"] = "left") -> Tree:
    """The same tree with at most two children a node, under new nodes without name or class.

    Of children a, b, c the first two are joined first, ``((a b) c)``, or from the right, ``(a (b c))``.

    >>> binarized(nested_tree(["+", "a", "b", "c"], "label")).label
    ('+', '', 'a', 'b', 'c')
    """
    if side not in ("left", "right"):
        raise ValueError(f"side: got {side!r}, allowed are left, right")
    own = tree.children

    def below(node: Any) -> Sequence[Any]:
        parts = own[node] if isinstance(node, int) else node
        if len(parts) <= 2:
            return parts
        # A tuple of nodes stands for a new node that joins them.
        return [tuple(parts[:-1]), parts[-1]] if side == "left" else [parts[0], tuple(parts[1:])]

    made, order = _preorder(0, below, lambda n: tree.label[n] if isinstance(n, int) else "")
    if not tree.target:
        return made
    return made._replace(target=tuple(tree.target[n] if isinstance(n, int) else "" for n in order))


def vocabulary(trees: Iterable[Tree], *, min_count: int = 1) -> tuple[str, ...]:
    """``<unk>`` and the names that occur ``min_count`` times or more: frequent first, then by spelling."""
    counts = Counter(name for tree in trees for name in tree.label if name)
    kept = sorted(
        (name for name, n in counts.items() if n >= min_count), key=lambda name: (-counts[name], name)
    )
    return (UNKNOWN, *kept)


def batch_trees(
    trees: Sequence[Tree], symbols: Sequence[str], *, nodes: int | None = None, arity: int | None = None
) -> Arranged:
    """Trees as arrays of one size, names as numbers of symbols.

    Args:
      trees: at least one.
      symbols: known names; a name that is not there is ``<unk>`` where that is one of them.
      nodes, arity: as for `dlnotes.data.trees.batching.arrange`.

    Raises:
      ValueError: for an unknown name without ``<unk>``, or trees that are not sound or do not fit.
    """
    index = {name: i for i, name in enumerate(symbols)} | {"": -1}
    label = [index.get(name, index.get(UNKNOWN, -2)) for tree in trees for name in tree.label]
    if -2 in label:
        name = next(n for tree in trees for n in tree.label if n not in index)
        raise ValueError(f"label: unknown symbol {name!r}, known are: {' '.join(symbols)}")
    parent = np.concatenate([tree.parent for tree in trees])
    most = max(len(tree.label) for tree in trees) if nodes is None else nodes
    widest = max(int(np.bincount(tree.parent + 1)[1:].max(initial=0)) for tree in trees)
    bounded.check_memory(
        f"{len(trees)} trees of up to {most} nodes with up to {widest} children",
        4 * len(trees) * most * max(widest, arity or 0),
    )
    return arrange(
        label, parent, [len(tree.label) for tree in trees], nodes=nodes, arity=arity, symbols=len(symbols)
    )


def tree_at(
    trees: Trees, i: int, symbols: Sequence[str], target: Any = None, classes: Sequence[str] = ()
) -> Tree:
    """One tree of a batch, with names.

    Args:
      trees: a batch.
      i: which one.
      symbols: the name of each label.
      target: ``(N,)`` class numbers at nodes, -1 for none, or ``None``.
      classes: their names.
    """
    label, children = np.asarray(trees.label)[i], np.asarray(trees.children)[i]
    # The root is the one real node that is no child.
    root = int(children.max(initial=-1)) + 1
    tree, order = _preorder(
        root,
        lambda slot: [int(child) for child in children[slot] if child >= 0],
        lambda slot: symbols[int(label[slot])] if label[slot] >= 0 else "",
    )
    if target is None:
        return tree
    at = [int(target[slot]) for slot in order]
    return tree._replace(target=tuple(classes[k] if k >= 0 else "" for k in at))
