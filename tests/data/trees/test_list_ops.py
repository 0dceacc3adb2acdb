"""ListOps against Python's own evaluation, and its trees against the brackets they come from."""

import re

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.trees.list_ops import SYMBOLS, draw, encode, evaluate, parse, to_string, to_trees, values

SMALL = {"n_train": 60, "n_validation": 0, "n_test": 0, "max_length": 40}


def python_value(string):
    """ListOps by rewriting it to Python and letting Python evaluate it."""
    for name in ("MIN", "MAX", "MED", "SM"):
        string = string.replace(f"[{name}", f"{name}([")
    string = re.sub(r"(?<=[\d)]) (?=[\dMS])", ",", string.replace(" ]", "])"))
    names = {"MIN": min, "MAX": max, "MED": lambda v: int(np.median(v)), "SM": lambda v: sum(v) % 10}
    return eval(string, names)


def test_list_ops_values_trees_and_brackets():
    d = data.list_ops(n_train=150, n_validation=20, n_test=30, max_length=60, seed=1)
    seen, depths = set(), set()
    width = d.train.x.label.shape[1]
    for part in (d.train, d.validation, d.test):
        assert part.x.label.shape[1] == width
        assert part.x.children.shape[1:] == (width, 2)
        for i in range(part.size):
            label, children = part.x.label[i], part.x.children[i]
            assert (label[~part.mask[i]] == -1).all()
            leaves = label[part.mask[i] & (children[:, 0] < 0)]
            string = " ".join(d.symbols[j] for j in leaves)
            assert python_value(string) == part.y[i]
            assert to_string(parse(string)) == string
            root = int(part.mask[i].sum()) - 1
            assert root == 2 * (len(leaves) - 1)
            assert (children[root + 1 :] == -1).all()
            spans = {slot: [slot] for slot in range(len(leaves))}
            height = dict.fromkeys(spans, 0)
            for k in range(len(leaves), root + 1):
                left, right = children[k].tolist()
                assert max(left, right) < k
                spans[k] = spans.pop(left) + spans.pop(right)  # each node has one parent
                height[k] = 1 + max(height[left], height[right])
            assert spans == {root: list(range(len(leaves)))}
            seen.add(string)
            depths.add(height[root])
    assert len(seen) == 200
    assert len(depths) > 5
    assert set(np.unique(d.train.y)) == set(range(10))


def test_list_ops_binarizes_from_the_left():
    trees, mask = to_trees(encode([parse("[MAX 2 [MIN 4 7 ] ]"), 5]))
    # slots: 0 [MAX, 1 2, 2 [MIN, 3 4, 4 7, 5 ], 6 ]; inner nodes from 7 on, the deepest first
    expected = [[2, 3], [7, 4], [0, 1], [8, 5], [9, 10], [11, 6]]
    assert trees.children[0, 7:].tolist() == expected
    assert (trees.children[0, :7] == -1).all()
    assert trees.label[0].tolist() == [12, 3, 11, 5, 8, 15, 15, *[-1] * 6]
    assert trees.order[0].tolist() == [0] * 7 + [1, 2, 3, 4, 5, 6]
    assert trees.label[1].tolist() == [6, *[-1] * 12]
    assert trees.order[1].tolist() == [0] + [7] * 12
    assert mask.sum(1).tolist() == [13, 1]
    assert evaluate(("MAX", 2, ("MIN", 4, 7))) == 4


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("[MAX 1 2", "1 lists are not closed"),
        ("1 ]", "follows a finished"),
        ("]", "closes nothing"),
        ("[MAX ]", "is empty"),
        ("[ADD 1 2 ]", r"unknown symbol '\[ADD'"),
        ("", "it is empty"),
    ],
)
def test_parse_refuses(string, message):
    with pytest.raises(ValueError, match=message):
        parse(string)


def test_list_ops_limits():
    d = data.list_ops(n_train=60, n_validation=0, n_test=0, max_depth=2, max_args=3, max_length=9)
    assert d.validation is None
    for i in range(d.train.size):
        symbols = [d.symbols[j] for j in d.train.x.label[i] if j >= 0]
        depth = np.cumsum([(s[0] == "[") - (s == "]") for s in symbols])
        assert len(symbols) <= 9
        assert depth.max() <= 2
    with pytest.raises(ValueError, match="different ones"):
        data.list_ops(n_train=500, n_validation=0, n_test=0, max_depth=1, max_args=2, max_length=4)


def test_drawn_lists_follow_the_grammar():
    rows = draw(np.random.default_rng(0), 4000, max_depth=3, max_args=4, max_length=400)
    assert len(rows) == 4000  # at most 1 + 4 + 16 lists of 4, so none is too long
    strings = [" ".join(SYMBOLS[i] for i in row if i) for row in rows]
    expressions = [parse(string) for string in strings]
    assert values(rows).tolist() == [python_value(s) for s in strings] == list(map(evaluate, expressions))

    def lists(expression, depth=1):
        yield depth, expression
        for part in expression[1:]:
            if isinstance(part, tuple):
                yield from lists(part, depth + 1)

    found = [entry for e in expressions for entry in lists(e)]
    assert {depth for depth, _ in found} == {1, 2, 3}
    shares = np.bincount([len(e) - 1 for _, e in found])[2:] / len(found)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)
    for name in ("MIN", "MAX", "MED", "SM"):
        np.testing.assert_allclose(np.mean([e[0] == name for _, e in found]), 0.25, atol=0.02)
    above = [part for depth, e in found if depth < 3 for part in e[1:]]
    np.testing.assert_allclose(np.mean([isinstance(part, tuple) for part in above]), 0.25, atol=0.02)


def test_structures_hold_the_same_expressions():
    made = {
        s: data.list_ops(structure=s, **SMALL)
        for s in ("given", "operators", "balanced", "chain", "sequence")
    }
    rows, y = made["sequence"].train.x, made["sequence"].train.y
    lengths = made["sequence"].train.mask.sum(1)
    assert made["sequence"].input == "tokens"
    for name in ("given", "balanced", "chain", "operators"):
        part = made[name].train
        assert part.y.tolist() == y.tolist()
        if name == "operators":
            continue
        for i, length in enumerate(lengths):
            assert part.mask[i].sum() == 2 * length - 1
            assert part.x.label[i, :length].tolist() == rows[i, :length].tolist()
            assert (part.x.label[i, length:] == -1).all()
            height = np.zeros(part.mask.shape[1], int)
            for slot in range(length, 2 * length - 1):
                left, right = part.x.children[i, slot]
                height[slot] = 1 + max(height[left], height[right])
                if name == "chain":
                    assert (left, right) == (slot - 1 if slot > length else 0, slot - length + 1)
            if name == "balanced":
                assert height.max() == np.ceil(np.log2(length))


def test_operators_are_nodes():
    d = data.list_ops(structure="operators", **SMALL)
    rows = data.list_ops(structure="sequence", **SMALL).train.x
    x = d.train.x
    assert x.children.shape[-1] == 5

    def text(i, slot):
        below = [text(i, child) for child in x.children[i, slot] if child >= 0]
        own = d.symbols[x.label[i, slot]]
        return " ".join([own, *below, "]"]) if below else own

    for i, row in enumerate(rows):
        assert text(i, d.train.mask[i].sum() - 1) == " ".join(d.symbols[j] for j in row if j)
    with pytest.raises(ValueError, match="arity: got 2, but node 0 of tree 0 has 3 children"):
        to_trees(encode([("MAX", 1, 2, 3)]), "operators", arity=2)
    with pytest.raises(ValueError, match="structure: got 'flat'"):
        data.list_ops(structure="flat")
