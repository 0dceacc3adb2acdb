"""Propositional logic against Python's own evaluation in all 64 worlds."""

from itertools import product

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.trees.logic import (
    CLASSES,
    SYMBOLS,
    VARIABLES,
    draw,
    encode,
    parse_pair,
    relations,
    to_trees,
)

WORLDS = [dict(zip(VARIABLES, world)) for world in product((False, True), repeat=6)]


def relation(p, q):
    """The definitions, over sets of worlds, of two Python expressions."""
    p, q = ({i for i, world in enumerate(WORLDS) if eval(text, {}, dict(world))} for text in (p, q))
    every = set(range(64))
    if not (0 < len(p) < 64 and 0 < len(q) < 64):
        return None
    if p == q:
        return "equivalence"
    if p < q:
        return "entailment"
    if p > q:
        return "reverse entailment"
    if not p & q:
        return "negation" if p | q == every else "alternation"
    return "cover" if p | q == every else "independence"


def text(trees, mask, i):
    """The two formulas of a tree as Python."""

    def walk(slot):
        name = SYMBOLS[trees.label[i, slot]]
        below = [walk(child) for child in trees.children[i, slot] if child >= 0]
        if not below:
            return name
        if name == "pair":
            return below
        return f"(not {below[0]})" if name == "not" else f"({below[0]} {name} {below[1]})"

    return walk(int(mask[i].sum()) - 1)


def test_pairs_have_the_relation_of_their_truth_tables():
    d = data.logic(n_train=300, n_validation=50, n_test=300, seed=1)
    seen, sizes = set(), []
    for part in (d.train, d.validation, d.test):
        longest = 0
        for i in range(part.size):
            pair = text(part.x, part.mask, i)
            assert relation(*pair) == CLASSES[part.y[i]]
            operators = [sum(p.count(name) for name in ("not", "and", "or")) for p in pair]
            longest = max(longest, *operators)
            assert len({v for v in VARIABLES for p in pair if v in p.replace("and", "")}) <= 4
            seen.add(tuple(pair))
            # what is written can be read again
            again = to_trees(encode([parse_pair(", ".join(pair))]))
            assert text(*again, 0) == pair
        sizes.append(longest)
    assert sizes == [4, 4, 12]
    assert len(seen) == 650
    assert set(d.train.y) == set(range(7))


def test_drawn_formulas_have_as_many_operators_as_asked():
    operators = np.repeat(np.arange(1, 7), 100)
    rows = draw(np.random.default_rng(0), operators, variables=6)
    trees, mask = to_trees(rows)
    for i, longest in enumerate(operators):
        counts = [sum(p.count(name) for name in ("not", "and", "or")) for p in text(trees, mask, i)]
        assert max(counts) == longest
    unclear = [i for i in range(600) if relation(*text(trees, mask, i)) is None]
    assert np.flatnonzero(relations(rows) < 0).tolist() == unclear


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("a and b", "allowed are two formulas with a comma"),
        ("a, b, c", "allowed are two formulas"),
        ("a, g", "got 'g' in a formula, allowed are a, b, c, d, e, f, not, and, or"),
        ("a + b, c", r"got 'a \+ b' in a formula"),
        ("a and, b", "pair: invalid syntax"),
    ],
)
def test_pairs_that_are_refused(written, message):
    with pytest.raises(ValueError, match=message):
        parse_pair(written)


def test_limits():
    with pytest.raises(ValueError, match="too few different pairs over 2 variables"):
        data.logic(n_train=3000, n_validation=0, n_test=0, train_operators=1, variables=2)
    with pytest.raises(ValueError, match="variables: got 4, 12, 7"):
        data.logic(variables=7)
    with pytest.raises(ValueError, match="n_train, n_validation, n_test: got 0"):
        data.logic(n_train=0)
