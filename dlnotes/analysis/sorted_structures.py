"""Ways to keep numbers in order, each of which counts what it compares: a linked list and search trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class Link:
    """A number of a linked list, and what comes after it."""

    __slots__ = ("after", "key")

    def __init__(self, key: Any, after: Link | None) -> None:
        self.key, self.after = key, after


class LinkedList:
    """Numbers in ascending order, each of which knows the next one only.

    Args:
      ascending: the numbers to begin with, in order.
    """

    def __init__(self, ascending: Iterable[Any] = ()) -> None:
        self.before_first = last = Link(None, None)
        for key in ascending:
            last.after = last = Link(key, None)

    def __iter__(self) -> Iterator[Any]:
        link = self.before_first.after
        while link is not None:
            yield link.key
            link = link.after

    def insert(self, key: Any) -> tuple[int, Link]:
        """Walk from the first number to the place of ``key``; the comparisons, and the link before it."""
        before, link, comparisons = self.before_first, self.before_first.after, 0
        while link is not None:
            comparisons += 1
            if key < link.key:
                break
            before, link = link, link.after
        before.after = Link(key, link)
        return comparisons, before

    @staticmethod
    def remove_after(before: Link) -> None:
        """Take out the number after a link, without a comparison."""
        removed = before.after
        if removed is not None:
            before.after = removed.after


class Node:
    """A number of a search tree: smaller ones lie left of it, others right. A new one is red."""

    __slots__ = ("key", "left", "parent", "red", "right")

    def __init__(self, key: Any, parent: Node | None) -> None:
        self.key, self.parent = key, parent
        self.left: Node | None = None
        self.right: Node | None = None
        self.red = True


class SearchTree:
    """A binary search tree that nothing balances."""

    def __init__(self) -> None:
        self.root: Node | None = None

    def __iter__(self) -> Iterator[Any]:
        """In ascending order; a stack of its own, since an unbalanced tree can be deep."""
        above: list[Node] = []
        node = self.root
        while above or node is not None:
            while node is not None:
                above.append(node)
                node = node.left
            node = above.pop()
            yield node.key
            node = node.right

    def insert(self, key: Any) -> int:
        """Descend to the place of ``key``, one comparison at each node on the way; how many these are."""
        parent, node, comparisons, left = None, self.root, 0, False
        while node is not None:
            comparisons += 1
            parent, left = node, key < node.key
            node = node.left if left else node.right
        new = Node(key, parent)
        if parent is None:
            self.root = new
        elif left:
            parent.left = new
        else:
            parent.right = new
        self._restore(new)
        return comparisons

    def _restore(self, new: Node) -> None:
        """What must hold of the tree once a number has been put in; here nothing."""


class RedBlackTree(SearchTree):
    """A search tree whose nodes are red or black (Guibas and Sedgewick, 1978).

    The root is black, a red node has no red child, and all ways down from a node to where a child is missing
    pass as many black nodes. So no way is more than twice as long as another, and the longest of n numbers
    passes at most 2 log₂(n + 1).
    """

    def _restore(self, new: Node) -> None:
        node = new
        while (parent := node.parent) is not None and parent.red:
            grandparent = parent.parent
            assert grandparent is not None  # a red node is not the root
            on_left = parent is grandparent.left
            uncle = grandparent.right if on_left else grandparent.left
            if uncle is not None and uncle.red:
                parent.red = uncle.red = False
                grandparent.red = True
                node = grandparent
                continue
            if node is (parent.right if on_left else parent.left):  # a bend: make it straight
                self._rotate(parent, left=on_left)
                parent = node
            parent.red, grandparent.red = False, True
            self._rotate(grandparent, left=not on_left)
            break
        if self.root is not None:
            self.root.red = False

    def _rotate(self, node: Node, *, left: bool) -> None:
        """Lift the right child over the node (``left``), or the left one; the order stays."""
        child = node.right if left else node.left
        assert child is not None
        inner = child.left if left else child.right
        if left:
            node.right, child.left = inner, node
        else:
            node.left, child.right = inner, node
        if inner is not None:
            inner.parent = node
        above = node.parent
        if above is None:
            self.root = child
        elif above.left is node:
            above.left = child
        else:
            above.right = child
        child.parent, node.parent = above, child


class Adversary:
    """A number that is decided while it is compared: it follows red nodes, where a way down is longest.

    Any place of a tree is in agreement with what was compared before, so its answers contradict nothing.

    Args:
      tree: into which it is about to be put.
      left: the side to go to where the colors do not decide.
    """

    def __init__(self, tree: SearchTree, left: bool) -> None:
        self.node, self.side = tree.root, left

    def __lt__(self, other: Any) -> bool:
        node = self.node
        assert node is not None
        left, right = (child is not None and child.red for child in (node.left, node.right))
        smaller = self.side if left == right else left
        self.node = node.left if smaller else node.right
        return smaller


class Counted:
    """A number that counts how often it is compared.

    Attributes:
      key: the number.
      comparisons: so far.
    """

    def __init__(self, key: float) -> None:
        self.key, self.comparisons = key, 0

    def __lt__(self, other: Any) -> bool:
        self.comparisons += 1
        return self.key < (other.key if isinstance(other, Counted) else other)
