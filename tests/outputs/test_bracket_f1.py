"""Brackets of trees against cases done by hand and against a recursion over each tree."""

import numpy as np
import pytest

from dlnotes.outputs.bracket_f1 import bracket_f1, brackets, self_agreement

NO = [-1, -1]
LEFT = [NO, NO, NO, NO, [0, 1], [4, 2], [5, 3]]  # ((0 1) 2) 3
RIGHT = [NO, NO, NO, NO, [2, 3], [1, 4], [0, 5]]  # 0 (1 (2 3))
BALANCED = [NO, NO, NO, NO, [0, 1], [2, 3], [4, 5]]
MIDDLE = [NO, NO, NO, NO, [1, 2], [0, 4], [5, 3]]  # (0 (1 2)) 3
SHORT = [NO, NO, NO, [1, 2], [0, 3], NO, NO]
TWO = [NO, NO, [0, 1], NO, NO, NO, NO]
ONE = [NO] * 7


def test_by_hand():
    assert brackets([LEFT, RIGHT, BALANCED, SHORT, TWO, ONE]) == [
        {(0, 2), (0, 3)},
        {(2, 4), (1, 4)},
        {(0, 2), (2, 4)},
        {(1, 3)},
        set(),
        set(),
    ]
    assert brackets([LEFT, TWO, ONE], whole=True) == [{(0, 2), (0, 3), (0, 4)}, {(0, 2)}, set()]


def test_f1_by_hand():
    found, true = [LEFT, LEFT, BALANCED, MIDDLE, LEFT], [LEFT, RIGHT, RIGHT, LEFT, BALANCED]
    np.testing.assert_allclose(bracket_f1(found, true), [1, 0, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(bracket_f1(found, true, whole=True), [1, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert np.isnan(bracket_f1([TWO, ONE], [TWO, ONE])).all()


def test_more_children_than_two():
    flat = [[-1] * 4] * 4 + [[0, 1, 2, 3], [-1] * 4]
    nested = [[-1] * 4] * 4 + [[0, 1, 2, -1], [4, 3, -1, -1]]
    assert brackets([nested]) == [{(0, 3)}]
    # No bracket of its own against one; against LEFT one of two brackets.
    np.testing.assert_allclose(bracket_f1([flat, nested], [LEFT, LEFT])[1], 2 / 3)
    assert bracket_f1([flat], [LEFT])[0] == 0


def test_padding_changes_nothing():
    longer = np.concatenate([np.array([LEFT, SHORT]), np.full((2, 3, 2), -1)], 1)
    assert brackets(longer) == brackets([LEFT, SHORT])


def recursion(children, slot):
    below = [c for c in children[slot] if c >= 0]
    if not below:
        return [slot], []
    leaves, found = [], []
    for child in below:
        some, more = recursion(children, child)
        leaves, found = leaves + some, found + more
    return leaves, [*found, (min(leaves), max(leaves) + 1)]


def random_tree(rng, n, slots):
    children, nodes = np.full((slots, 2), -1), list(range(n))
    for made in range(n, 2 * n - 1):
        i = rng.integers(len(nodes) - 1)
        children[made] = nodes[i : i + 2]
        nodes[i : i + 2] = [made]
    return children


def test_equals_recursion():
    rng = np.random.default_rng(0)
    for n in (3, 5, 9):
        children = random_tree(rng, n, 20)
        want = set(recursion(children, 2 * n - 2)[1])
        assert brackets([children], whole=True) == [want]
        assert brackets([children]) == [want - {(0, n)}]


def test_self_agreement():
    trees = [[LEFT, LEFT, TWO], [LEFT, BALANCED, TWO], [RIGHT, LEFT, TWO]]
    np.testing.assert_allclose(self_agreement(trees), [0.75, 0.5, 0.25])


def test_errors():
    with pytest.raises(ValueError, match=r"children: got shape \(7, 2\)"):
        brackets(LEFT)
    with pytest.raises(ValueError, match="not before its parent"):
        brackets([[NO, NO, [1, 3], [0, 2]]])
    with pytest.raises(ValueError, match="got 1 and 2 trees"):
        bracket_f1([LEFT], [LEFT, LEFT])
    with pytest.raises(ValueError, match="trees of 1 learner"):
        self_agreement([[LEFT]])
