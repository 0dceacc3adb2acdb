"""Sorted structures: order, invariants, and comparisons counted by the numbers themselves."""

from math import floor, log2

import numpy as np
import pytest
from experiment_module import experiment
from hypothesis import given, settings
from hypothesis import strategies as st

sorted_insertion = experiment("representation/sorted_insertion")
Adversary, Counted = sorted_insertion.Adversary, sorted_insertion.Counted
LinkedList, SearchTree = sorted_insertion.LinkedList, sorted_insertion.SearchTree
RedBlackTree = sorted_insertion.RedBlackTree

NUMBERS = st.lists(st.integers(-20, 20) | st.floats(allow_nan=False), max_size=60)


def black_height(node, above=None):
    """Black nodes on every way down, all checks on the way; and the longest way."""
    if node is None:
        return 0, 0
    assert node.parent is above
    assert not (node.red and above is not None and above.red), "a red node has a red child"
    (left, left_height), (right, right_height) = (black_height(c, node) for c in (node.left, node.right))
    assert left == right, "ways down pass different numbers of black nodes"
    return left + (not node.red), 1 + max(left_height, right_height)


def check(tree, n):
    assert tree.root is None or not tree.root.red, "the root is red"
    _, height = black_height(tree.root)
    assert height <= 2 * log2(n + 1)


@settings(max_examples=150, deadline=None)
@given(NUMBERS)
def test_a_red_black_tree_keeps_order_balance_and_count(numbers):
    tree = RedBlackTree()
    for n, key in enumerate(numbers):
        counted = Counted(key)
        assert tree.insert(counted) == counted.comparisons <= 2 * log2(n + 1)
        check(tree, n + 1)
    assert [c.key for c in tree] == sorted(numbers)


@settings(max_examples=100, deadline=None)
@given(NUMBERS)
def test_a_list_and_a_plain_tree_keep_order_and_count(numbers):
    chain, tree = LinkedList(), SearchTree()
    for key in numbers:
        counted = Counted(key)
        assert chain.insert(counted)[0] == counted.comparisons
        counted = Counted(key)
        assert tree.insert(counted) == counted.comparisons
    assert [c.key for c in chain] == [c.key for c in tree] == sorted(numbers)


@pytest.mark.parametrize("left", [False, True])
def test_an_adversary_contradicts_nothing_and_does_not_break_the_tree(left):
    tree, most = RedBlackTree(), 0.0
    for n in range(600):
        found = tree.insert(Adversary(tree, left))
        assert found <= 2 * log2(n + 1)
        most = max(most, found / max(2 * log2(n + 1), 1))
        check(tree, n + 1)
    assert most > 0.75  # random order takes about half of the bound
    assert len(list(tree)) == 600


def test_a_list_compares_with_all_that_are_not_larger_and_one_more():
    chain = LinkedList([1.0, 2.0, 2.0, 5.0])
    assert [chain.insert(k)[0] for k in (9.0, 0.0)] == [4, 1]
    comparisons, before = chain.insert(2.0)
    assert (comparisons, list(chain)) == (5, [0.0, 1.0, 2.0, 2.0, 2.0, 5.0, 9.0])
    chain.remove_after(before)
    assert list(chain) == [0.0, 1.0, 2.0, 2.0, 5.0, 9.0]


def test_a_plain_tree_can_be_deeper_than_python_may_recurse():
    tree = SearchTree()
    assert [tree.insert(k) for k in range(3000)] == list(range(3000))
    assert list(tree) == list(range(3000))


def test_an_array_is_halved():
    comparisons, moves, _ = sorted_insertion.into_array(np.arange(100.0), np.array([-1.0, 49.5, 200.0]))
    assert moves.tolist() == [100, 50, 0]
    assert comparisons.max() <= floor(log2(100)) + 1


def test_slopes_of_known_growth():
    n = np.array([16, 64, 256, 1024])
    np.testing.assert_allclose(sorted_insertion.power(n, np.stack([n / 2, n**2.0])), [1, 2])
    m = {"sizes": n}
    np.testing.assert_allclose(sorted_insertion.per_doubling(m, 1.5 * np.log2(n)[None]), [1.5])
    assert sorted_insertion.worst(np.array([0, 2, 2])) == pytest.approx(1)


def test_sizes_windows_and_counts_of_a_growing_tree():
    comparisons, seconds = sorted_insertion.grow(SearchTree(), list(range(64)), [16, 64], 10)
    np.testing.assert_array_equal(comparisons, np.arange(64))
    assert (seconds > 0).all()
    np.testing.assert_allclose(
        sorted_insertion.last(comparisons, [16, 64], 10), [(8 + 15) / 2, (54 + 63) / 2]
    )
