"""Gradients step by step against the whole gradient, the recursions written out, and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import layers
from dlnotes.analysis import gradient_by_step, variance_shares
from dlnotes.layers.recurrent.unroll import unroll


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_steps_add_up_to_the_gradient(name, key):
    cell = layers.recurrent_cell(name)
    params = cell.init(key, 2, 4)
    xs = jax.random.normal(key, (6, 2))
    v = jax.random.normal(jax.random.key(1), (4,))

    def loss(h):
        return jnp.sum(v * h) ** 2

    def whole(params):
        carry, _ = unroll(cell, params, xs[None])
        return loss(cell.hidden(carry)[0])

    by_step = gradient_by_step(cell, params, xs, loss)
    for got, want in zip(jax.tree.leaves(by_step), jax.tree.leaves(jax.grad(whole)(params))):
        np.testing.assert_allclose(got.sum(0), want, rtol=1e-4, atol=1e-5)


def test_each_step_by_the_recursions_of_the_notes():
    """``∇_{U^{(t)}} L = x_t (δ_t)ᵀ`` with ``δ_t = (1 − h_t²) ⊙ g_t`` and ``g_{t−1} = W δ_t``, in numpy."""
    rng = np.random.default_rng(0)
    U, W, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    xs, v = rng.normal(size=(5, 2)), rng.normal(size=3)
    hs = [np.zeros(3)]
    for x in xs:
        hs.append(np.tanh(x @ U + hs[-1] @ W + b))
    g, want = v, []
    for t in range(5, 0, -1):
        delta = (1 - hs[t] ** 2) * g
        want.insert(0, (np.outer(xs[t - 1], delta), np.outer(hs[t - 1], delta), delta))
        g = W @ delta
    params = layers.RNNParams(*(jnp.asarray(a, jnp.float32) for a in (U, W, b)))
    v32 = jnp.asarray(v, jnp.float32)
    got = gradient_by_step(layers.rnn, params, jnp.asarray(xs, jnp.float32), lambda h: jnp.sum(v32 * h))
    for leaf, expected in zip(got, zip(*want)):
        np.testing.assert_allclose(leaf, np.stack(expected), rtol=1e-4, atol=1e-5)


def test_shares_of_independent_steps():
    rng = np.random.default_rng(1)
    scale = np.array([0.1, 3.0, 1.0])
    by_step = rng.normal(size=(20_000, 3, 4)) * scale[None, :, None] + 7
    got = np.asarray(variance_shares(jnp.asarray(by_step, jnp.float32)))
    np.testing.assert_allclose(got, scale**2 / (scale**2).sum(), rtol=0.05)


def test_errors(key):
    params = layers.rnn.init(key, 2, 3)
    with pytest.raises(ValueError, match="vmap over a batch"):
        gradient_by_step(layers.rnn, params, jnp.ones((1, 4, 2)), jnp.sum)
    with pytest.raises(ValueError, match="two examples"):
        variance_shares(jnp.ones((1, 4, 2)))
