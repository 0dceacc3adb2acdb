"""Tree cells and `compose` against a recursion over each tree by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers.tree import TREE_CELLS, compose, node_states, tree_cell, tree_cell_of

I, H, L, M = 3, 4, 5, 6
cells = pytest.mark.parametrize("name", list(TREE_CELLS))


def forest(seed, batch, L=L, M=M):
    """Random trees of 1..L leaves, chains to balanced, children in any order of slots."""
    rng = np.random.default_rng(seed)
    children = np.full((batch, M, 2), -1, np.int32)
    mask, root = np.zeros((batch, L), bool), np.zeros(batch, np.int32)
    for b in range(batch):
        n = 1 if b == 0 else rng.integers(1, L + 1)
        mask[b, :n] = True
        open_nodes = list(rng.permutation(n))
        for i in range(n - 1):
            pair = [open_nodes.pop(rng.integers(len(open_nodes))) for _ in range(2)]
            children[b, i] = pair
            open_nodes.append(L + i)
        root[b] = open_nodes[0]
    return children, root, mask


def recursion(cell, params, leaves, children, root):
    L, join = leaves.shape[1], jax.jit(cell.join)

    def state(b, slot):
        if slot < L:
            return leaves[b, slot]
        left, right = children[b, slot - L]
        return join(params, state(b, left), state(b, right))

    return jnp.stack([state(b, root[b]) for b in range(len(root))])


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
    xs = jax.random.normal(jax.random.key(2), (3, L, I))
    traces = []

    @jax.jit
    def ours(params, xs, children, root, mask):
        traces.append(1)

        def f(params, xs):
            state = compose(cell, params, cell.leaf(params, xs), children, root, mask)
            return jnp.sum(jnp.sin(state)), state

        return jax.value_and_grad(f, (0, 1), has_aux=True)(params, xs)

    for seed in range(2):
        children, root, mask = forest(seed, 3)

        def f(params, xs, children=children, root=root):
            state = recursion(cell, params, cell.leaf(params, xs), children, root)
            return jnp.sum(jnp.sin(state)), state

        want = jax.value_and_grad(f, (0, 1), has_aux=True)(params, xs)
        close(ours(params, xs, children, root, mask), want)
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
    children, root, mask = forest(4, 4)
    leaves = cell.leaf(params, jax.random.normal(jax.random.key(2), (4, L, I)))
    want = compose(cell, params, leaves, children, root, mask)

    # Two more leaf slots move every internal slot by two; three more rows of padding.
    def shift(slots):
        return np.where(slots >= L, slots + 2, slots).astype(np.int32)

    more = np.concatenate([shift(children), np.full((4, 3, 2), -1, np.int32)], 1)
    garbage = jnp.full((4, 2, leaves.shape[-1]), 9.0)
    wide = np.concatenate([mask, np.zeros((4, 2), bool)], 1)
    wide_leaves = jnp.concatenate([leaves, garbage], 1)
    got = compose(cell, params, wide_leaves, more, shift(root), wide)
    nodes = node_states(cell, params, wide_leaves, more, wide)
    close(got, want)
    assert not np.asarray(nodes)[:, : L + 2][~wide].any()
    assert not np.asarray(nodes)[:, -3:].any()


@cells
def test_bfloat16_and_vmap(name):
    cell, params = random_params(name)
    children, root, mask = forest(5, 3)
    xs = jax.random.normal(jax.random.key(2), (3, L, I))

    def run(p, x):
        return compose(cell, p, cell.leaf(p, x), children, root, mask)

    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, xs))
    assert run(*half).dtype == jnp.bfloat16
    close(np.asarray(run(*half), np.float32), run(params, xs), 0.06)
    many = jax.tree.map(lambda a: jnp.stack([a, -a]), params)
    got = jax.vmap(run, (0, None))(many, xs)
    close(got[1], run(jax.tree.map(lambda a: -a, params), xs))


def test_errors():
    cell, params = random_params("affine")
    children, root, mask = forest(0, 2)
    leaves = jnp.zeros((2, L, H))
    with pytest.raises(ValueError, match="did you mean 'tree_lstm'"):
        tree_cell("treelstm")
    with pytest.raises(ValueError, match="params: got int"):
        tree_cell_of(3)
    with pytest.raises(ValueError, match="children: got shape"):
        compose(cell, params, leaves, children[:1], root, mask)
    with pytest.raises(ValueError, match="root: got shape"):
        compose(cell, params, leaves, children, root[:1], mask)
    with pytest.raises(ValueError, match="mask: got shape"):
        compose(cell, params, leaves, children, root, mask[:, :2])
    with pytest.raises(ValueError, match="inputs: got -1"):
        cell.init(jax.random.key(0), -1, 2)
