"""Networks that find the tree themselves, against a recursion over the trees they found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.dataset import Trees
from dlnotes.layers.recurrent.unroll import lstm
from dlnotes.layers.recursive.cells import TREE_CELLS
from dlnotes.layers.recursive.chart import soft_chart
from dlnotes.models.recursive.latent_trees import (
    chart_parse,
    chart_tree,
    gumbel_parse,
    gumbel_tree,
    leaf_symbols,
)

B, L, H = 3, 5, 4
SYMBOLS = jnp.array([[1, 4, 2, 3, 0], [5, 2, 2, 1, 0], [3, 0, 0, 0, 0]])
LENGTHS = (5, 4, 1)
MASK = jnp.arange(L)[None] < jnp.array(LENGTHS)[:, None]


def made(model):
    """Parameters of a model, biases too at random."""
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return tree.unflatten([a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def leaf_state(kind, params, symbol):
    inputs = params.E[symbol]
    none = jnp.zeros((2, kind.width(params.cell)))
    return kind.combine(params.cell, none, kind.project(params.cell, inputs[None])[0])


def combine(kind, params, left, right):
    z = kind.project(params.cell, jnp.zeros((1, H)))[0]
    return kind.combine(params.cell, jnp.stack([left, right]), z)


@pytest.mark.parametrize("cell", ["tree_lstm", pytest.param("tensor", marks=pytest.mark.slow)])
def test_gumbel_tree_is_a_recursion_over_its_tree(cell):
    kind, model = TREE_CELLS[cell], gumbel_tree(6, H, 3, cell=cell)
    params = made(model)
    got = jax.jit(model.apply)(params, SYMBOLS, mask=MASK)
    children = np.asarray(jax.jit(gumbel_parse)(params, SYMBOLS, MASK))
    assert children.shape == (B, 2 * L - 1, 2)

    leaf = jax.jit(lambda symbol: leaf_state(kind, params, symbol))
    node = jax.jit(lambda left, right: combine(kind, params, left, right))

    def state(b, slot):
        left, right = children[b, slot]
        return leaf(SYMBOLS[b, slot]) if left < 0 else node(state(b, left), state(b, right))

    for b, n in enumerate(LENGTHS):
        want = kind.hidden(state(b, 2 * n - 2)) @ params.V + params.c
        np.testing.assert_allclose(got[b], want, rtol=1e-4, atol=1e-5)


def test_a_key_draws_trees():
    params = made(gumbel_tree(6, H, 3))
    parse = jax.jit(gumbel_parse)
    keys = jax.random.split(jax.random.key(3), 20 * B).reshape(20, B)
    drawn = [np.asarray(parse(params, SYMBOLS, MASK, key=key)) for key in keys]
    assert len({one[1].tobytes() for one in drawn}) > 3
    assert len({one[2].tobytes() for one in drawn}) == 1
    alone = parse(params, SYMBOLS[1:2], MASK[1:2], key=keys[0, 1:2])
    np.testing.assert_array_equal(alone[0], drawn[0][1])


@pytest.mark.parametrize("cell", ["tree_lstm", pytest.param("child_sum", marks=pytest.mark.slow)])
def test_chart_tree_composes_by_its_cell(cell):
    kind, model = TREE_CELLS[cell], chart_tree(6, H, 3, cell=cell)
    params = made(model)
    got = jax.jit(model.apply)(params, SYMBOLS, mask=MASK)

    @jax.jit
    def by_whole_nodes(params):
        leaves = jax.vmap(jax.vmap(lambda symbol: leaf_state(kind, params, symbol)))(SYMBOLS)
        many = jax.vmap(jax.vmap(jax.vmap(lambda left, right: combine(kind, params, left, right))))
        chart = soft_chart(many, lambda s: kind.hidden(s) @ params.q, leaves, jnp.array(LENGTHS))
        return kind.hidden(chart.state) @ params.V + params.c[None]

    np.testing.assert_allclose(got, by_whole_nodes(params), rtol=1e-4, atol=1e-5)
    found = chart_parse(params, SYMBOLS, MASK)
    assert [int((tree[:, 0] >= 0).sum()) for tree in found] == [n - 1 for n in LENGTHS]


def test_leaves_that_an_lstm_reads():
    """Two symbols: the root is the cell's node over the LSTM's states ``[h; c]``."""
    kind = TREE_CELLS["tree_lstm"]
    for factory in (gumbel_tree, chart_tree):
        model = factory(6, H, 3, leaf="lstm")
        params = made(model)
        carry, states = lstm.carry(params.leaf, (1,)), []
        for symbol in (5, 2):
            carry, h = lstm.step(params.leaf, carry, params.E[symbol][None])
            states.append(jnp.concatenate([h, carry.c], -1)[0])
        assert params.cell.U is None  # no node has an input of its own
        with_input = params._replace(cell=params.cell._replace(U=jnp.zeros((H, params.cell.b.size))))
        want = kind.hidden(combine(kind, with_input, *states)) @ params.V + params.c
        got = jax.jit(model.apply)(params, jnp.array([[5, 2, 1]]), mask=jnp.array([[True, True, False]]))
        np.testing.assert_allclose(got[0], want, rtol=1e-4, atol=1e-5)


def test_leaves_of_trees():
    # ((a b) c) and a flat list of four, then a single leaf; three children at most.
    children = np.full((3, 7, 3), -1)
    children[0, 3, :2], children[0, 4, :2] = (0, 1), (3, 2)
    children[1, 4] = 0, 1, 2
    children[1, 5, :2] = 4, 3
    label = np.array([[7, 8, 9, -1, -1, -1, -1], [1, 2, 3, 4, -1, -1, -1], [5] + [-1] * 6])
    mask = np.arange(7) < np.array([5, 6, 1])[:, None]
    symbols, lengths = leaf_symbols(Trees(label, children, 0 * label), mask)
    assert symbols.shape == (3, 5)  # Seven nodes can be five leaves under a node of three and one of three.
    assert lengths.tolist() == [3, 4, 1]
    assert symbols[1, :4].tolist() == [1, 2, 3, 4]
    symbols, lengths = leaf_symbols(jnp.array([[3, 4]]))
    assert lengths.tolist() == [2]


def test_errors():
    for factory in (gumbel_tree, chart_tree):
        with pytest.raises(ValueError, match="leaf: got 'lsm', allowed are cell, lstm; did you mean 'lstm'"):
            factory(6, 4, 3, leaf="lsm")
        with pytest.raises(ValueError, match="cell: got 'gru'"):
            factory(6, 4, 3, cell="gru")
        with pytest.raises(ValueError, match="hidden: got 0"):
            factory(6, 0, 3)
    with pytest.raises(ValueError, match="temperature: got 0"):
        gumbel_tree(6, 4, 3, temperature=0)
