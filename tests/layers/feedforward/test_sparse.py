"""Masked dense layer: against a sum over connections, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes.layers import Dense, connections, init_masked_dense, masked_dense

MASK = connections(7, 5, 0.4, seed=3)


def test_every_output_has_its_share_of_the_inputs():
    for inputs, outputs, share in [(10, 6, 0.3), (7, 5, 0.4), (3, 2, 0.01), (4, 9, 1.0)]:
        mask = connections(inputs, outputs, share)
        assert set(np.unique(mask)) <= {0.0, 1.0}
        np.testing.assert_array_equal(mask.sum(0), max(1, round(share * inputs)))


def test_all_inputs_are_equally_likely():
    found = connections(12, 6000, 0.25, seed=1).mean(1)
    np.testing.assert_allclose(found, 0.25, atol=0.03)


def test_sum_over_connections(key):
    params = Dense(jax.random.normal(key, (7, 5)), jnp.arange(5.0))
    x = jax.random.normal(key, (3, 7))
    got = masked_dense(params, x, MASK)
    for j in range(5):
        chosen = np.flatnonzero(MASK[:, j])
        want = np.asarray(x)[:, chosen] @ np.asarray(params.W)[chosen, j] + float(params.b[j])
        np.testing.assert_allclose(got[:, j], want, rtol=1e-5, atol=1e-5)


def test_gradients(key):
    params = init_masked_dense(key, MASK)
    x = jax.random.normal(key, (3, 7))
    check_grads(
        jax.jit(lambda p, x: masked_dense(p, x, MASK)), (params, x), order=2, modes=["rev"], rtol=1e-2
    )
    slope = jax.grad(lambda p: jnp.sum(masked_dense(p, x, MASK) ** 2))(params)
    np.testing.assert_array_equal(np.asarray(slope.W)[MASK == 0], 0)
    assert np.all(np.asarray(slope.W)[MASK == 1] != 0)


@pytest.mark.parametrize("initializer", ["he_normal", "lecun_normal", "glorot_uniform", "orthogonal"])
def test_pre_activations_start_with_the_variance_of_a_dense_layer(key, initializer):
    mask = connections(400, 200, 0.1)
    mask[:200, :100] = 1  # some outputs have more inputs than others
    x = jax.random.normal(key, (64, 400))
    sparse = masked_dense(init_masked_dense(key, mask, initializer=initializer), x, mask)
    dense = init_masked_dense(key, np.ones_like(mask), initializer=initializer)
    want = float(jnp.var(x @ dense.W))
    for part in (sparse[:, :100], sparse[:, 100:]):
        assert float(jnp.var(part)) == pytest.approx(want, rel=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: connections(3, 2, 0.0), "share: got 0.0"),
        (lambda: connections(0, 2, 0.5), "inputs: got 0"),
        (lambda: init_masked_dense(jax.random.key(0), np.array([[1, 0], [1, 0]])), "mask: got shape"),
        (lambda: init_masked_dense(jax.random.key(0), np.array([[0.5, 1]])), "mask: got shape"),
        (lambda: masked_dense(Dense(jnp.ones((2, 3)), jnp.ones(3)), jnp.ones(2), MASK), "mask: got shape"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
