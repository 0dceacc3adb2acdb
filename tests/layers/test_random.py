"""Dropout and keys: rates, expectation, and draws that follow the example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dlnotes.layers import random


def test_split_and_fold_in_both_forms(key):
    keys = jax.random.split(key, 4)
    one, many = random.split(key, 3), random.split(keys, 3)
    assert [k.shape for k in one] == [()] * 3
    assert [k.shape for k in many] == [(4,)] * 3
    data = np.stack([jax.random.key_data(k) for k in many])
    assert len(np.unique(data.reshape(12, -1), axis=0)) == 12
    for i in range(3):
        want = random.fold_in(keys[2], i)
        np.testing.assert_array_equal(jax.random.key_data(many[i][2]), jax.random.key_data(want))


def test_rate_is_what_is_dropped(key):
    x = jnp.ones((200, 100))
    y = np.asarray(random.dropout(key, x, 0.2))
    assert stats.binomtest(int((y == 0).sum()), y.size, 0.2).pvalue > 1e-3
    np.testing.assert_allclose(y[y != 0], 1.25, rtol=1e-6)


def test_off(key):
    x = jax.random.normal(key, (3, 4))
    np.testing.assert_array_equal(random.dropout(None, x, 0.5), x)
    np.testing.assert_array_equal(random.dropout(key, x, 0.0), x)
    np.testing.assert_array_equal(random.dropout(key, x, jnp.float32(0)), x)


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_rates_out_of_range(rate, key):
    with pytest.raises(ValueError, match="rate: got"):
        random.dropout(key, jnp.ones((2, 2)), rate)


def test_draws_follow_the_key_of_the_example(key):
    x = jax.random.normal(key, (6, 50))
    keys = jax.random.split(key, 6)
    whole = random.dropout(keys, x, 0.5)
    parts = jnp.concatenate([random.dropout(keys[a : a + 2], x[a : a + 2], 0.5) for a in (0, 2, 4)])
    np.testing.assert_array_equal(whole, parts)
    assert len(np.unique(np.asarray(whole) == 0, axis=0)) == 6
    with pytest.raises(ValueError, match="shape: got"):
        random.bernoulli(keys, 0.5, (5, 2))


def test_traced_rate_and_bfloat16(key):
    x = jnp.ones((4, 64), jnp.bfloat16)
    f = jax.jit(jax.vmap(lambda rate: random.dropout(key, x, rate)))
    y = f(jnp.array([0.0, 0.25, 0.75]))
    assert y.dtype == jnp.bfloat16
    dropped = np.asarray((y == 0).mean((1, 2), dtype=jnp.float32))
    np.testing.assert_allclose(dropped, [0, 0.25, 0.75], atol=0.1)


def test_classes_follow_their_probabilities_and_their_keys(key):
    logits = jnp.broadcast_to(jnp.array([0.0, 1.0, -1.0]), (3000, 3))
    p = np.exp(np.asarray(jax.nn.log_softmax(logits[0])))
    keys = jax.random.split(key, 3000)
    for k in (key, keys):
        drawn = np.asarray(random.categorical(k, logits))
        assert stats.chisquare(np.bincount(drawn, minlength=3), 3000 * p / p.sum()).pvalue > 1e-3
    np.testing.assert_array_equal(random.categorical(keys[7:9], logits[7:9]), drawn[7:9])
