"""What the claim on how far recursive nets remember is measured with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes.data.trees.batching import arrange
from dlnotes.data.trees.shapes import balanced_parents, chain_parents
from dlnotes.layers.recursive.cells import tree_lstm
from dlnotes.layers.recursive.states import compose


def leaves_of(module, cell, length, key):
    """A cell with random biases, sequences, the states of their leaves, and what joins two states."""
    params = jax.jit(lambda key: cell.init(key, module.SYMBOLS, 3, 2))(key)
    params = params._replace(b=jax.random.normal(key, params.b.shape))
    x = jnp.asarray(module.sequences(np.random.default_rng(0), 2, length).x)

    @jax.jit
    def join(left, right):
        z = cell.project(params, jnp.zeros((len(left), module.SYMBOLS)))
        return cell.combine(params, jnp.stack([left, right], 1), z)

    none = jnp.zeros((2, length, 2, cell.width(params)))
    one_hot = jax.nn.one_hot(x, module.SYMBOLS)
    leaves = jax.jit(lambda p: cell.combine(p, none, cell.project(p, one_hot)))(params)
    return params, x, jnp.swapaxes(leaves, 0, 1), join


@pytest.mark.parametrize("shape", ["balanced", "chain"])
def test_both_trees_of_a_sequence_are_those_of_the_library(shape, key):
    module = experiment("recurrent/tree_memory")
    cell, length = tree_lstm, 4
    params, x, leaves, join = leaves_of(module, cell, length, key)
    parents = balanced_parents(length) if shape == "balanced" else chain_parents(length)
    # The leaves of these lists of nodes, in their order, are the positions of the sequence.
    inner = np.isin(np.arange(2 * length - 1), parents)
    made = arrange(np.where(inner, 0, np.cumsum(~inner)), parents, [2 * length - 1], arity=2)
    place = made.trees.label[0] - 1
    at_nodes = jax.nn.one_hot(jnp.where(place >= 0, x[:, np.maximum(place, 0)], -1), module.SYMBOLS)
    children, order = (jnp.asarray(np.repeat(a, 2, 0)) for a in (made.trees.children, made.trees.order))
    by_slots = jax.jit(lambda p: compose(cell, p, at_nodes, children, order, schedule="sequential"))
    want, (got, path) = by_slots(params), jax.jit(lambda p: module.along(cell, p, x, shape))(params)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(join(path[-1][:, 0], path[-1][:, 1]), want, rtol=1e-5, atol=1e-6)

    def root(first):
        a, b, c, d = first, *leaves[1:, :1]
        return (join(join(a, b), join(c, d)) if shape == "balanced" else join(join(join(a, b), c), d))[0]

    J = jax.jit(jax.jacrev(lambda state: root(state[None])))(leaves[0, 0])
    log = module.log_jacobians(cell, shape, jax.tree.map(lambda a: a[None], params), x[:1])[0]
    np.testing.assert_allclose(log, np.log(np.linalg.norm(J, 2)), rtol=1e-4)
