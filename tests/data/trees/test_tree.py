"""One tree by itself: constructors, brackets, binary trees and what is refused."""

import ast

import numpy as np
import pytest

from dlnotes.data.trees.brackets import parse_brackets, to_brackets
from dlnotes.data.trees.tree import (
    Tree,
    balanced_tree,
    batch_trees,
    binarized,
    chain_tree,
    nested_tree,
    python_tree,
    random_tree,
    tree_at,
    tree_of_children,
    vocabulary,
)


def random_nested(rng, depth=4):
    if depth == 0 or rng.random() < 0.3:
        return "abcdef"[rng.integers(6)]
    return ["xyz"[rng.integers(3)], *(random_nested(rng, depth - 1) for _ in range(rng.integers(1, 5)))]


def to_nested(tree, node=0):
    below = [to_nested(tree, child) for child in tree.children[node]]
    return [tree.label[node], *below] if below else tree.label[node]


def test_nested_lists_and_brackets_come_back():
    rng = np.random.default_rng(0)
    for _ in range(50):
        nested = random_nested(rng)
        tree = nested_tree(nested, "label")
        assert to_nested(tree) == nested
        assert to_nested(parse_brackets(to_brackets(tree), "label")) == nested
        assert tree.parent[0] == -1
        assert all(0 <= up < node for node, up in enumerate(tree.parent[1:], 1))


def test_arrays_come_back_as_trees():
    rng = np.random.default_rng(1)
    trees = [nested_tree(random_nested(rng), "label") for _ in range(30)]
    symbols = vocabulary(trees)
    made = batch_trees(trees, symbols, nodes=200)
    classes = ("p", "q")
    for i, tree in enumerate(trees):
        again = tree_at(made.trees, i, symbols)
        assert again.label == tree.label
        assert again.parent.tolist() == tree.parent.tolist()
        y = np.where(made.mask[i], made.trees.label[i] % 3 - 1, -1)
        marked = tree_at(made.trees, i, symbols, y, classes)
        want = ["" if k < 0 else classes[k] for k in (symbols.index(n) % 3 - 1 for n in tree.label)]
        assert list(marked.target) == want


def test_the_three_kinds_of_brackets():
    tree = parse_brackets("((the cat) sat)")
    assert tree.label == ("", "", "the", "cat", "sat")
    assert tree.parent.tolist() == [-1, 0, 1, 1, 0]
    assert tree.leaves == ("the", "cat", "sat")
    tree = parse_brackets("( (S (NP (DT The) (NN cat)) (VP sat)) )", "label")
    assert tree.label == ("S", "NP", "DT", "The", "NN", "cat", "VP", "sat")
    tree = parse_brackets("(3 (2 It) (_ (4 's) good))", "target")
    assert tree.label == ("", "It", "", "'s", "good")
    assert tree.target == ("3", "2", "", "4", "")
    assert to_brackets(tree) == "(3 (2 It) (_ (4 's) good))"
    assert parse_brackets("cat").label == ("cat",)


@pytest.mark.parametrize(
    ("text", "head", "message"),
    [
        ("(a (b c)", "child", "1 bracket is not closed"),
        ("(a b))", "child", r"'\)' at character 6 follows a finished tree"),
        (")", "child", "at character 1 closes nothing"),
        ("(a ())", "child", "closed at character 5 is empty"),
        ("(a) (b)", "child", r"'\(' at character 5 follows"),
        ("  ", "child", "there is no tree"),
        ("((a b) c)", "label", "a bracket has no label before its parts"),
        ("(3 (2))", "target", "nothing follows the class '2'"),
        ("(a b)", "top", "head: got 'top'"),
    ],
)
def test_brackets_that_are_refused(text, head, message):
    with pytest.raises(ValueError, match=message):
        parse_brackets(text, head)


@pytest.mark.parametrize(
    ("children", "message"),
    [
        ([[1, 2], [2], []], "node 2 has two parents, 0 and 1"),
        ([[1, 1], [], []], "node 1 has two parents, 0 and 0"),
        ([[1], [5], []], "node 1 has child 5, which is missing; there are 3 nodes"),
        ([[1], [0], []], "node 0 is in a cycle"),
        ([[1], [2], [0]], "there is no root"),
        ([[1], [], []], "there is 2 roots, 0, 2"),
        ([[1], []], "got 3, 2 and 0 nodes"),
    ],
)
def test_children_that_make_no_tree_are_refused(children, message):
    with pytest.raises(ValueError, match=message):
        tree_of_children(["a", "b", "c"], children)


def test_children_in_any_order():
    tree = tree_of_children(["c", "b", "a", "d"], [[3], [2, 0], [], []], ["1", "2", "", "4"])
    assert tree.label == ("b", "a", "c", "d")
    assert tree.target == ("2", "", "1", "4")
    assert to_brackets(tree._replace(target=())) == "(b a (c d))"


def test_binary_trees_keep_the_leaves():
    rng = np.random.default_rng(2)
    for side in ("left", "right"):
        for _ in range(30):
            tree = nested_tree(random_nested(rng), "label")
            made = binarized(tree._replace(target=tuple(f"{i}" for i in range(len(tree.label)))), side)
            assert made.leaves == tree.leaves
            assert max(map(len, made.children)) <= 2
            kept = [(n, k) for n, k in zip(made.label, made.target) if k]
            assert [n for n, _ in kept] == list(tree.label)
            assert sorted(int(k) for _, k in kept) == list(range(len(tree.label)))
    five = nested_tree(["+", "a", "b", "c", "d"], "label")
    assert to_brackets(binarized(five)) == "(+ ((a b) c) d)"
    assert to_brackets(binarized(five, "right")) == "(+ a (b (c d)))"
    with pytest.raises(ValueError, match="side: got 'up'"):
        binarized(five, "up")


def test_trees_over_a_sequence():
    names = "abcde"
    assert to_brackets(balanced_tree(names)) == "(((a b) c) (d e))"
    assert to_brackets(chain_tree(names)) == "((((a b) c) d) e)"
    assert to_brackets(chain_tree(names, "right")) == "(a (b (c (d e))))"
    assert random_tree(names, np.random.default_rng(0)).leaves == tuple(names)
    assert balanced_tree("a").label == ("a",)


def test_python_source():
    tree = python_tree("def f(x):\n    return x.y + g(1, None)")
    nodes = [type(n).__name__ for n in ast.walk(ast.parse("def f(x):\n    return x.y + g(1, None)"))]
    ours = [n for n in tree.label if n[0].isupper() and n != "None"]
    assert sorted(ours) == sorted(n for n in nodes if n[0].isupper() and n != "Load")
    assert tree.leaves == ("f", "x", "x", "y", "Add", "g", "1", "None")
    with pytest.raises(ValueError, match="source: line 1"):
        python_tree("1 +")


def test_names_that_are_not_known():
    trees = [parse_brackets("((a b) c)"), parse_brackets("(a a)")]
    assert vocabulary(trees) == ("<unk>", "a", "b", "c")
    assert vocabulary(trees, min_count=2) == ("<unk>", "a")
    assert batch_trees(trees, ("<unk>", "a")).trees.label[0].tolist() == [1, 0, 0, -1, -1]
    with pytest.raises(ValueError, match="unknown symbol 'b', known are: a c"):
        batch_trees(trees, ("a", "c"))
    with pytest.raises(ValueError, match="no root"):
        batch_trees([Tree(("a", "b"), np.array([1, 0]))], ("a", "b"))
