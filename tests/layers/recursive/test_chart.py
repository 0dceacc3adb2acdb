"""The soft chart against the enumeration of all binary trees, and against plain loops."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes.layers.recursive.chart import MOST_LEAVES, most_probable_trees, soft_chart

B, L, D = 3, 6, 3
LENGTHS = jnp.array([6, 4, 1])
keys = jax.random.split(jax.random.key(0), 4)
W_L, W_R = jax.random.normal(keys[0], (2, D, D))
QUERY = jax.random.normal(keys[1], (D,))
LEAVES = jax.random.normal(keys[2], (B, L, D))
PARAMS = (W_L, W_R, QUERY)


@cache
def trees(i, j):
    """All binary trees over leaves i … j - 1: a leaf, or (left, right)."""
    if j - i == 1:
        return [i]
    return [(a, b) for k in range(i + 1, j) for a in trees(i, k) for b in trees(k, j)]


def splits(tree):
    """Of each inner node: first leaf, leaves, leaves before the split; and the leaves of the tree."""
    if isinstance(tree, int):
        return [], [tree]
    (a, left), (b, right) = map(splits, tree)
    return [*a, *b, (left[0], len(left + right), len(left))], left + right


def probability(tree, log_weights, b):
    """The product of the weights of a tree's splits in a chart."""
    return np.exp(sum(float(log_weights[n - 2][b, i, s - 1]) for i, n, s in splits(tree)[0]))


def nonlinear(params):
    W_L, W_R, q = params
    return lambda a, b: jnp.tanh(a @ W_L + b @ W_R), lambda state: state @ q


def test_fixed_scores_equal_enumeration():
    """With scores of span and split, and a linear combine, the root is the mean over all trees."""
    table = jax.random.normal(keys[3], (L, L + 1, L + 1))

    # A state is [vector, first leaf, leaves, leaves before the split].
    def combine(a, b):
        vector = a[..., :D] @ W_L + b[..., :D] @ W_R
        where = [a[..., D], a[..., D + 1] + b[..., D + 1], a[..., D + 1]]
        return jnp.concatenate([vector, jnp.stack(where, -1)], -1)

    def score(state):
        i, n, s = (jnp.round(state[..., D + k]).astype(int) for k in range(3))
        return table[i, n, s]

    places = jnp.broadcast_to(jnp.arange(float(L))[None, :, None], (B, L, 1))
    leaves = jnp.concatenate([LEAVES, places, jnp.ones((B, L, 1)), jnp.zeros((B, L, 1))], -1)
    chart = jax.jit(lambda leaves: soft_chart(combine, score, leaves, LENGTHS))(leaves)

    def vector(tree, b):
        if isinstance(tree, int):
            return np.asarray(LEAVES[b, tree])
        return vector(tree[0], b) @ np.asarray(W_L) + vector(tree[1], b) @ np.asarray(W_R)

    def weight(tree):
        return np.exp(sum(float(jax.nn.log_softmax(table[i, n, 1:n])[s - 1]) for i, n, s in splits(tree)[0]))

    for b, n in ((1, 4), (2, 1)):
        every = trees(0, n)
        weights = [weight(tree) for tree in every]
        np.testing.assert_allclose(weights, [probability(t, chart.log_weights, b) for t in every], rtol=1e-3)
        np.testing.assert_allclose(sum(weights), 1, rtol=1e-4)
        want = sum(w * vector(tree, b) for w, tree in zip(weights, every))
        np.testing.assert_allclose(chart.state[b, :D], want, rtol=1e-4, atol=1e-4)


def test_equals_loop():
    combine, score = nonlinear(PARAMS)
    got = jax.jit(lambda leaves: soft_chart(combine, score, leaves, LENGTHS))(LEAVES)
    for b, n in enumerate(LENGTHS.tolist()):
        spans = {(i, i + 1): LEAVES[b, i] for i in range(n)}
        for size in range(2, n + 1):
            for i in range(n - size + 1):
                made = jnp.stack([combine(spans[i, k], spans[k, i + size]) for k in range(i + 1, i + size)])
                weights = jax.nn.softmax(score(made))
                np.testing.assert_allclose(
                    jnp.exp(got.log_weights[size - 2][b, i]), weights, rtol=1e-4, atol=1e-5
                )
                spans[i, i + size] = weights @ made
        np.testing.assert_allclose(got.state[b], spans[0, n], rtol=1e-4, atol=1e-5)


def test_parts_done_once_change_nothing():
    combine, score = nonlinear(PARAMS)
    parts = dict(left=lambda a: a @ W_L, right=lambda b: (b @ W_R, b))

    @jax.jit
    def both(leaves):
        split = soft_chart(lambda a, b: jnp.tanh(a + b[0]), score, leaves, LENGTHS, **parts)
        return split, soft_chart(combine, score, leaves, LENGTHS)

    got, want = both(LEAVES)
    chex.assert_trees_all_close(got, want, rtol=1e-4, atol=1e-5)


def test_gradients():
    def root(params, leaves):
        return soft_chart(*nonlinear(params), leaves, LENGTHS).state

    check_grads(
        jax.jit(root), (PARAMS, LEAVES), order=1, modes=("fwd", "rev"), eps=1e-2, rtol=2e-2, atol=2e-2
    )


def test_most_probable_tree_of_all():
    chart = jax.jit(lambda leaves: soft_chart(*nonlinear(PARAMS), 2 * leaves, LENGTHS))(LEAVES)
    found = most_probable_trees(chart.log_weights, LENGTHS)
    assert found.shape == (B, 2 * L - 1, 2)

    def shape(children, slot):
        left, right = children[slot]
        return slot if left < 0 else (shape(children, left), shape(children, right))

    for b, n in enumerate(LENGTHS.tolist()):
        best = max(trees(0, n), key=lambda tree: probability(tree, chart.log_weights, b))
        assert shape(found[b].tolist(), 2 * n - 2) == best
        assert (found[b, :n] == -1).all()
        assert (found[b, 2 * n - 1 :] == -1).all()


def test_errors():
    combine, score = nonlinear(PARAMS)
    with pytest.raises(ValueError, match=f"got shape .* with L from 1 to {MOST_LEAVES}"):
        soft_chart(combine, score, jnp.zeros((1, MOST_LEAVES + 1, D)), jnp.ones(1, int))
    with pytest.raises(ValueError, match=r"lengths: got shape \(2,\)"):
        soft_chart(combine, score, LEAVES, LENGTHS[:2])
