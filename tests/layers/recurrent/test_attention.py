"""Attention against sums written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from dlnotes.layers.recurrent.attention import (
    additive_scores,
    dot_scores,
    local_window,
    masked_softmax,
    weighted_mean,
)

B, S, A = 3, 5, 4
query = np.random.default_rng(0).normal(size=(B, A)).astype(np.float32)
keys = np.random.default_rng(1).normal(size=(B, S, A)).astype(np.float32)
v = np.random.default_rng(2).normal(size=A).astype(np.float32)
MASK = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1]], bool)


def test_scores():
    for b in range(B):
        want = [v @ np.tanh(query[b] + keys[b, s]) for s in range(S)]
        np.testing.assert_allclose(additive_scores(v, query, keys)[b], want, rtol=1e-5, atol=1e-6)
        want = [query[b] @ keys[b, s] / 2 for s in range(S)]
        np.testing.assert_allclose(dot_scores(query, keys)[b], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("size", [1.0, 1e30])
def test_weights(dtype, size):
    scores = jnp.asarray(size * query @ keys[0].T, dtype)
    weights = np.asarray(masked_softmax(scores, jnp.asarray(MASK)), np.float64)
    assert (weights[~MASK] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6 if dtype == jnp.float32 else 1e-2)
    if size == 1 and dtype == jnp.float32:
        for b in range(B):
            np.testing.assert_allclose(weights[b, MASK[b]], softmax(scores[b, MASK[b]]), rtol=1e-5)
        np.testing.assert_allclose(masked_softmax(scores), softmax(scores, -1), rtol=1e-5)


def test_empty_row_is_zero_with_a_finite_gradient():
    mask = jnp.asarray(MASK).at[1].set(False)

    def f(s):
        return (masked_softmax(s, mask) ** 2).sum()

    weights, grad = masked_softmax(keys[..., 0], mask), jax.grad(f)(jnp.asarray(keys[..., 0]))
    assert not np.asarray(weights[1]).any()
    assert not np.asarray(grad[1]).any()
    assert np.isfinite(grad).all()


def test_masked_positions_have_no_influence():
    def context(keys):
        weights = masked_softmax(additive_scores(v, query, keys), jnp.asarray(MASK))
        return weighted_mean(weights, keys)

    other = np.where(MASK[..., None], keys, 77.0)
    np.testing.assert_allclose(context(jnp.asarray(keys)), context(jnp.asarray(other)), rtol=1e-5)
    want = np.einsum("bs,bsd->bd", masked_softmax(additive_scores(v, query, keys), MASK), keys)
    np.testing.assert_allclose(context(jnp.asarray(keys)), want, rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="query: got shape"):
        dot_scores(query[:, :2], keys)
    with pytest.raises(ValueError, match="v: got shape"):
        additive_scores(v[:2], query, keys)
    with pytest.raises(ValueError, match="mask: got shape"):
        masked_softmax(keys[..., 0], MASK[:2])


@pytest.mark.parametrize("window", [1, 3])
def test_local_window_is_a_gaussian_cut_off(window):
    middle = np.array([0.3, 2.0, 3.9], np.float32)
    got, inside = local_window(jnp.asarray(middle), S, window)
    far = np.abs(np.arange(S) - middle[:, None])
    want = norm.logpdf(far, scale=window / 2) - norm.logpdf(0, scale=window / 2)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_array_equal(inside, far <= window)
