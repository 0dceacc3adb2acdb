"""Trees as flat arrays, against a plain recursion over parents."""

import numpy as np
import pytest

from dlnotes.data.trees.batching import arrange
from dlnotes.data.trees.shapes import balanced_parents, chain_parents, random_parents


def random_lists(seed, n=30, most=12):
    """Random trees of any arity, their nodes in any order."""
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(n):
        size = int(rng.integers(1, most))
        parent = [-1] + [int(rng.integers(i)) for i in range(1, size)]
        name = rng.permutation(size)
        shuffled = np.full(size, -1)
        for i, up in enumerate(parent):
            shuffled[name[i]] = -1 if up < 0 else name[up]
        lists.append(shuffled)
    return lists


@pytest.mark.parametrize("seed", range(3))
def test_slots_hold_the_trees_that_were_given(seed):
    lists = random_lists(seed)
    parent, sizes = np.concatenate(lists), [len(p) for p in lists]
    label = np.arange(len(parent))
    made = arrange(label, parent, sizes, nodes=15)
    trees, A = made.trees, made.trees.children.shape[-1]
    assert made.placed(label).tolist() == trees.label.tolist()
    start, keys = 0, []
    for t, own in enumerate(lists):
        kids = [[j for j in range(len(own)) if own[j] == i] for i in range(len(own))]

        def height(i, kids=kids):
            return 1 + max(map(height, kids[i])) if kids[i] else 0

        def depth(i, own=own):
            return 0 if own[i] < 0 else 1 + depth(own[i])

        def leaves(i, kids=kids):
            return [j for k in kids[i] for j in leaves(k)] if kids[i] else [i]

        size, root = len(own), int(np.flatnonzero(own < 0)[0])
        slot = made.slot[start : start + size]
        assert sorted(slot) == list(range(size))
        assert made.mask[t].tolist() == [True] * size + [False] * (15 - size)
        assert slot[root] == size - 1
        assert [int(slot[i]) for i in leaves(root)] == list(range(len(leaves(root))))
        for i in range(size):
            assert trees.label[t, slot[i]] == start + i
            assert trees.children[t, slot[i]].tolist() == [*slot[kids[i]], *[-1] * (A - len(kids[i]))]
            assert all(slot[j] < slot[i] for j in kids[i])
            keys.append((bool(kids[i]), -depth(i) if kids[i] else 0, height(i), trees.order[t, slot[i]]))
        assert (trees.order[t, :size][:-1] <= trees.order[t, :size][1:]).all()
        assert (trees.label[t, size:] == -1).all()
        assert (trees.children[t, size:] == -1).all()
        assert (trees.order[t, size:] == trees.order.max()).all()
        start += size
    order = [k[3] for k in sorted(keys, key=lambda k: k[:3])]
    assert order == sorted(order)
    assert len({k[:3] for k in keys}) == len({k[3] for k in keys}) == max(order) + 1


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ([[1, 0]], "tree 0 has no root"),
        ([[-1], [-1, -1]], "tree 1 has 2 roots"),
        ([[-1], [-1, 2]], "node 1 of tree 1 has parent 2, allowed is 0 to 1"),
        ([[-1, 0], [-1, 2, 1]], "node 1 of tree 1 is in a cycle, or below one"),
        ([[-1, 0], [-1, 1]], "node 1 of tree 1 is in a cycle"),
        ([[-1, 0], [-1, 0, 0, 0]], "arity: got 2, but node 0 of tree 1 has 3 children"),
        ([[-1, 0], [-1, 0, 1, 2, 3, 4]], "nodes: got 5, tree 1 has 6"),
    ],
)
def test_lists_that_are_no_trees_are_refused(parent, message):
    flat = [p for own in parent for p in own]
    with pytest.raises(ValueError, match=message):
        arrange([0] * len(flat), flat, [len(own) for own in parent], nodes=5, arity=2)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="node 1 of tree 1 has label 7, allowed is -1, none, to 6"):
        arrange([0, 0, 7], [-1, -1, 0], [1, 2], symbols=7)
    with pytest.raises(ValueError, match="node 0 of tree 1 has label -2, allowed is -1, none, or more"):
        arrange([0, -2, 7], [-1, -1, 0], [1, 2])
    with pytest.raises(ValueError, match="label, parent: got shapes"):
        arrange([0, 0], [-1, -1, 0], [1, 2])
    with pytest.raises(ValueError, match="sizes: got"):
        arrange([], [], [])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 14, 16, 17])
def test_a_path_of_single_children(n):
    made = arrange(np.arange(n), np.arange(n) - 1, [n])
    assert made.trees.label[0].tolist() == list(range(n))[::-1]
    assert made.trees.order[0].tolist() == list(range(n))
    assert made.trees.children[0, :, 0].tolist() == list(range(-1, n - 1))


def test_shapes_over_a_sequence():
    rng = np.random.default_rng(0)
    for n in range(1, 20):
        shapes = {
            "balanced": balanced_parents(n),
            "left": chain_parents(n),
            "right": chain_parents(n, "right"),
            "random": random_parents(n, rng),
        }
        for name, parent in shapes.items():
            made = arrange(np.zeros(len(parent)), parent, [len(parent)], arity=2)
            assert (made.trees.children[0, :, 0] < 0).sum() == n
            steps = np.zeros(len(parent), int)
            for node in range(1, len(parent)):  # preorder: a parent comes first
                steps[node] = steps[parent[node]] + 1
            if name != "random":
                assert steps.max() == (np.ceil(np.log2(n)) if name == "balanced" else n - 1)
    assert {tuple(random_parents(3, rng)) for _ in range(30)} == {(-1, 0, 0, 2, 2), (-1, 0, 1, 1, 0)}
    with pytest.raises(ValueError, match="leaves: got 0"):
        balanced_parents(0)
    with pytest.raises(ValueError, match="side: got 'up'"):
        chain_parents(3, "up")
