"""Tree cells and `compose` against a recursion over each tree by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers.tree import TREE_CELLS, compose, node_states, tree_cell, tree_cell_of

I, H, L = 3, 4, 5
N = 2 * L - 1
cells = pytest.mark.parametrize("name", list(TREE_CELLS))


def forest(seed, batch, L=L):
    """Random trees of 1..L leaves, chains to balanced, children in any order of slots."""
    rng = np.random.default_rng(seed)
    children = np.full((batch, 2 * L - 1, 2), -1, np.int32)
    mask = np.zeros((batch, 2 * L - 1), bool)
    for b in range(batch):
        n = 1 if b == 0 else rng.integers(1, L + 1)
        mask[b, : 2 * n - 1] = True
        open_nodes = list(rng.permutation(n))
        for i in range(n, 2 * n - 1):
            children[b, i] = [open_nodes.pop(rng.integers(len(open_nodes))) for _ in range(2)]
            open_nodes.append(i)
    return children, mask


def recursion(cell, params, leaves, children, mask):
    join = jax.jit(cell.join)

    def state(b, slot):
        left, right = children[b, slot]
        return leaves[b, slot] if left < 0 else join(params, state(b, left), state(b, right))

    return jnp.stack([state(b, int(mask[b].sum()) - 1) for b in range(len(mask))])


def random_params(name):
    cell = TREE_CELLS[name]
    leaves, tree = jax.tree.flatten(cell.init(jax.random.key(0), I, H))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return cell, tree.unflatten([a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def close(a, b, tolerance=2e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


@cells
def test_equals_recursion_with_gradients(name):
    cell, params = random_params(name)
    xs = jax.random.normal(jax.random.key(2), (3, N, I))
    traces = []

    @jax.jit
    def ours(params, xs, children, mask):
        traces.append(1)

        def f(params, xs):
            state = compose(cell, params, cell.leaf(params, xs), children, mask)
            return jnp.sum(jnp.sin(state)), state

        return jax.value_and_grad(f, (0, 1), has_aux=True)(params, xs)

    for seed in range(2):
        children, mask = forest(seed, 3)

        def f(params, xs, children=children, mask=mask):
            state = recursion(cell, params, cell.leaf(params, xs), children, mask)
            return jnp.sum(jnp.sin(state)), state

        want = jax.value_and_grad(f, (0, 1), has_aux=True)(params, xs)
        close(ours(params, xs, children, mask), want)
    assert len(traces) == 1


def test_lstm_cell_written_out():
    cell, p = random_params("tree_lstm")
    rng = np.random.default_rng(0)
    left, right, x = (rng.normal(size=n).astype(np.float32) for n in (2 * H, 2 * H, I))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    U, W, b = (np.asarray(a, np.float64) for a in p)
    i, fl, fr, o, g = np.split(np.concatenate([left[:H], right[:H]]) @ W + b, 5)
    c = sigmoid(fl) * left[H:] + sigmoid(fr) * right[H:] + sigmoid(i) * np.tanh(g)
    close(cell.join(p, left, right), np.concatenate([sigmoid(o) * np.tanh(c), c]))
    bi, _, _, bo, bg = np.split(b, 5)
    i, o, g = np.split(x @ U, 3)
    c = sigmoid(i + bi) * np.tanh(g + bg)
    close(cell.leaf(p, x), np.concatenate([sigmoid(o + bo) * np.tanh(c), c]))
    close(cell.hidden(jnp.asarray(left)), left[:H])


@cells
def test_padding_changes_nothing(name):
    cell, params = random_params(name)
    children, mask = forest(4, 4)
    leaves = cell.leaf(params, jax.random.normal(jax.random.key(2), (4, N, I)))
    want = compose(cell, params, leaves, children, mask)

    more = np.concatenate([children, np.full((4, 3, 2), -1, np.int32)], 1)
    garbage = jnp.full((4, 3, leaves.shape[-1]), 9.0)
    wide = np.concatenate([mask, np.zeros((4, 3), bool)], 1)
    wide_leaves = jnp.concatenate([leaves, garbage], 1)
    close(compose(cell, params, wide_leaves, more, wide), want)
    assert not np.asarray(node_states(cell, params, wide_leaves, more, wide))[~wide].any()


@cells
def test_bfloat16_and_vmap(name):
    cell, params = random_params(name)
    children, mask = forest(5, 3)
    xs = jax.random.normal(jax.random.key(2), (3, N, I))

    def run(p, x):
        return compose(cell, p, cell.leaf(p, x), children, mask)

    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, xs))
    assert run(*half).dtype == jnp.bfloat16
    close(np.asarray(run(*half), np.float32), run(params, xs), 0.06)
    many = jax.tree.map(lambda a: jnp.stack([a, -a]), params)
    got = jax.vmap(run, (0, None))(many, xs)
    close(got[1], run(jax.tree.map(lambda a: -a, params), xs))


def test_errors():
    cell, params = random_params("affine")
    children, mask = forest(0, 2)
    leaves = jnp.zeros((2, N, H))
    with pytest.raises(ValueError, match="did you mean 'tree_lstm'"):
        tree_cell("treelstm")
    with pytest.raises(ValueError, match="params: got int"):
        tree_cell_of(3)
    with pytest.raises(ValueError, match="children: got shape"):
        compose(cell, params, leaves, children[:1], mask)
    with pytest.raises(ValueError, match="mask: got shape"):
        compose(cell, params, leaves, children, mask[:, :2])
    with pytest.raises(ValueError, match="inputs: got -1"):
        cell.init(jax.random.key(0), -1, 2)
