"""Trees found from the leaves up, against a plain loop over one example at a time."""

from itertools import pairwise

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes.layers.recursive.gumbel import compose_pairs, found_children, gumbel_noise, straight_through

B, L, D = 4, 6, 3
LENGTHS = jnp.array([6, 4, 1, 2])
keys = jax.random.split(jax.random.key(0), 6)
PARAMS = (jax.random.normal(keys[0], (2 * D, D)), jax.random.normal(keys[1], (D,)))
LEAVES = jax.random.normal(keys[2], (B, L, D))
NOISE = gumbel_noise(keys[3], B, L)


def joining(params):
    W, q = params

    def combine(left, right):
        return jnp.tanh(jnp.concatenate([left, right], -1) @ W)

    return combine, lambda state: state @ q


def loop(params, leaves, n, noise=None):
    """State at the root and the pairs of one example; with the straight-through gradient written out."""
    combine, score = joining(params)
    states, nodes, pairs = [leaves[i] for i in range(n)], list(range(n)), []
    for k in range(n - 1):
        made = [combine(a, b) for a, b in pairwise(states)]
        scores = jnp.stack([score(p) for p in made])
        if noise is not None:
            scores = scores + noise[k, : n - 1 - k]
        soft, best = jax.nn.softmax(scores), int(jnp.argmax(scores))
        y = soft + jax.lax.stop_gradient(jnp.zeros(n - 1 - k).at[best].set(1.0) - soft)
        states = [
            y[i] * made[i] + (1 - y[: i + 1].sum()) * states[i] + y[:i].sum() * states[i + 1]
            for i in range(n - 1 - k)
        ]
        pairs.append((nodes[best], nodes[best + 1]))
        nodes[best : best + 2] = [n + k]
    return states[0], pairs


@jax.jit
def ours(params, leaves, noise):
    """Loss, pairs and gradients, computed once for each pair and anew in every step."""

    def loss(params, leaves, again):
        found = compose_pairs(*joining(params), leaves, LENGTHS, noise=noise, again=again)
        return jnp.sum(jnp.sin(found.state)), found

    return [jax.value_and_grad(loss, (0, 1), has_aux=True)(params, leaves, again) for again in (False, True)]


def close(a, b, tolerance=1e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("noise", [0 * NOISE, NOISE], ids=["best", "drawn"])
@pytest.mark.slow
def test_equals_loop_with_gradients(noise):
    def loss(params, leaves):
        return sum(jnp.sum(jnp.sin(loop(params, leaves[b], int(LENGTHS[b]), noise[b])[0])) for b in range(B))

    want = jax.value_and_grad(loss, (0, 1))(PARAMS, LEAVES)
    for (value, found), grads in ours(PARAMS, LEAVES, noise):
        close((value, grads), want)
        for b, n in enumerate(LENGTHS.tolist()):
            pairs = loop(PARAMS, LEAVES[b], n, noise[b])[1]
            assert found.pairs[b].tolist() == [*map(list, pairs), *[[-1, -1]] * (L - n)]


def test_forced_to_a_given_tree_is_a_tree_net():
    """With one choice far above the others the gradient is that of the given tree, too."""
    merges = [[1, 3, 1, 0, 0], [2, 0, 0], [], [0]]
    noise = np.zeros((B, L - 1, L - 1), np.float32)
    for b, choices in enumerate(merges):
        noise[b, range(len(choices)), choices] = 1e6

    def given(params, leaves):
        combine, _ = joining(params)
        roots = []
        for b, choices in enumerate(merges):
            states = list(leaves[b, : LENGTHS[b]])
            for m in choices:
                states[m : m + 2] = [combine(states[m], states[m + 1])]
            roots.append(states[0])
        return jnp.sum(jnp.sin(jnp.stack(roots)))

    want, (dparams, dleaves) = jax.value_and_grad(given, (0, 1))(PARAMS, LEAVES)
    for (value, _), (grads, leaf_grads) in ours(PARAMS, LEAVES, jnp.asarray(noise)):
        close((value, grads[0], leaf_grads), (want, dparams[0], dleaves))
        assert not grads[1].any()


def test_relaxed_gradients():
    def root(params, leaves):
        options = dict(noise=NOISE, temperature=0.7, relaxed=True)
        return compose_pairs(*joining(params), leaves, LENGTHS, **options).state

    check_grads(
        jax.jit(root), (PARAMS, LEAVES), order=1, modes=("fwd", "rev"), eps=1e-2, rtol=2e-2, atol=2e-2
    )


def test_cold_and_relaxed_is_the_choice():
    combine, score = joining(PARAMS)
    hard = compose_pairs(combine, score, LEAVES, LENGTHS)
    soft = compose_pairs(combine, score, LEAVES, LENGTHS, relaxed=True, temperature=1e-4)
    close(hard, soft)


def test_straight_through():
    scores, possible = jnp.array([[1.0, 3.0, 2.0, 9.0], [1.0, 2.0, 3.0, 4.0]]), jnp.zeros((2, 4), bool)
    possible = possible.at[0, :3].set(True)
    np.testing.assert_array_equal(straight_through(scores, possible), [[0, 1, 0, 0], [0, 0, 0, 0]])
    weights = jnp.array([[1.0, 2.0, 3.0, 4.0]] * 2)
    got = jax.grad(lambda s: jnp.sum(weights * straight_through(s, possible, temperature=2.0)))(scores)
    want = jax.grad(lambda s: jnp.sum(weights[0, :3] * jax.nn.softmax(s / 2.0)))(scores[0, :3])
    close(got, jnp.zeros((2, 4)).at[0, :3].set(want))


def test_noise_draws_from_the_softmax():
    scores = jnp.array([0.0, 1.0, -1.0])
    noise = gumbel_noise(jax.random.split(jax.random.key(2), 5000), 5000, 4)
    share = np.bincount(np.argmax(scores[None] + noise[:, 1], 1), minlength=3) / 5000
    np.testing.assert_allclose(share, jax.nn.softmax(scores), atol=0.03)


def test_children():
    combine, score = joining(PARAMS)
    children = np.asarray(found_children(compose_pairs(combine, score, LEAVES, LENGTHS).pairs, LENGTHS))
    for b, n in enumerate(LENGTHS.tolist()):
        pairs = [list(pair) for pair in loop(PARAMS, LEAVES[b], n)[1]]
        assert children[b].tolist() == [[-1, -1]] * n + pairs + [[-1, -1]] * (2 * L - 2 * n)
    assert (
        found_children(jnp.zeros((2, 0, 2), jnp.int32), jnp.ones(2, jnp.int32)).tolist() == [[[-1, -1]]] * 2
    )


def test_errors():
    combine, score = joining(PARAMS)
    with pytest.raises(ValueError, match=r"leaves: got shape \(4, 3\)"):
        compose_pairs(combine, score, LEAVES[:, 0], LENGTHS)
    with pytest.raises(ValueError, match=r"lengths: got shape \(3,\)"):
        compose_pairs(combine, score, LEAVES, LENGTHS[:3])
    with pytest.raises(ValueError, match=r"noise: got shape \(4, 6, 6\)"):
        compose_pairs(combine, score, LEAVES, LENGTHS, noise=jnp.zeros((4, 6, 6)))
