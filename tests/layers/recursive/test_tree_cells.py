"""Tree cells: one node against the papers' equations, and chains against the recurrent cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tree_batches import EQUATIONS, close, random_params

from dlnotes.layers.recurrent.unroll import gru, lstm, unroll
from dlnotes.layers.recursive.cells import TREE_CELLS, tree_cell, tree_cell_of
from dlnotes.layers.recursive.states import node_states

I, H, A = 3, 4, 3
cells = pytest.mark.parametrize("name", list(TREE_CELLS))


@cells
def test_a_node_as_its_paper_writes_it(name):
    cell = TREE_CELLS[name]
    params = random_params(cell, I, H, A)
    x = jax.random.normal(jax.random.key(2), (5, I))
    children = jax.random.normal(jax.random.key(3), (5, A, cell.width(params)))
    # All children, the second missing, only the last, none, the first.
    there = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]], bool)
    children = jnp.where(there[:, :, None], children, 0)
    got = jax.jit(cell.combine)(params, children, cell.project(params, x))
    for n in range(5):
        below = {k: children[n, k] for k in range(A) if there[n, k]}
        close(got[n], EQUATIONS[name](params, below, x[n]))
    close(cell.hidden(got), got[:, :H])
    assert got.shape == (5, cell.width(params))


@pytest.mark.parametrize(("name", "other"), [("tree_lstm", lstm), ("tree_gru", gru)])
def test_a_chain_with_inputs_everywhere_is_a_recurrent_net(name, other):
    cell, time = TREE_CELLS[name], 6
    params = random_params(other, I, H)
    gates = {"lstm": [0, 2, 3, 1], "gru": [0, 2, 1]}["lstm" if other is lstm else "gru"]
    parts = jnp.split(params.W, len(gates), 1)
    W = jnp.concatenate([parts[g] for g in gates], 1)
    own = cell.init(jax.random.key(0), I, H, 1)._replace(**params._asdict() | {"W": W})
    xs = jax.random.normal(jax.random.key(2), (2, time, I))
    chain = np.tile(np.arange(-1, time - 1)[None, :, None], (2, 1, 1))
    order = np.tile(np.arange(time), (2, 1))
    _, hs = unroll(other, params, xs)
    close(cell.hidden(node_states(cell, own, xs, jnp.asarray(chain), jnp.asarray(order))), hs)


def test_child_sum_takes_children_in_any_order_and_number():
    cell = TREE_CELLS["child_sum"]
    params = random_params(cell, I, H, 1)
    children = jax.random.normal(jax.random.key(3), (6, 2 * H))
    z = cell.project(params, jnp.ones(I))
    more = jnp.concatenate([children[::-1], jnp.zeros((2, 2 * H))])
    close(cell.combine(params, more, z), cell.combine(params, children, z))


@cells
def test_parameters_where_they_start(name):
    cell = TREE_CELLS[name]
    params, twice = (cell.init(jax.random.key(0), 300, 100, 2, init_scale=s) for s in (1.0, 2.0))
    close(twice.W, 2 * params.W)
    close(twice.b, params.b)
    limit = np.sqrt(6 / (300 + 100))
    assert 0.97 * limit < np.abs(params.U).max() <= limit
    if name in ("tree_lstm", "child_sum"):
        np.testing.assert_array_equal(params.b, np.repeat([0, 1, 0, 0], 100))
    if name == "tensor":
        # With states of size 1 the bilinear part is as large as the linear one.
        p = np.sign(np.random.default_rng(0).normal(size=(50, 200))).astype(np.float32)
        bilinear = np.einsum("ni,ijk,nj->nk", p, np.asarray(params.V), p, optimize=True)
        assert 0.8 < bilinear.std() / (p @ np.asarray(params.W)).std() < 1.25
    assert tree_cell_of(params) is cell


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'tree_lstm'"):
        tree_cell("treelstm")
    with pytest.raises(ValueError, match="params: got int"):
        tree_cell_of(3)
    for cell in TREE_CELLS.values():
        with pytest.raises(ValueError, match="inputs: got -1"):
            cell.init(jax.random.key(0), -1, 2, 2)
        with pytest.raises(ValueError, match="arity: got 0"):
            cell.init(jax.random.key(0), 1, 2, 0)
