"""A layer in two factors against the product of its matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes import layers, models


def test_is_the_dense_layer_of_the_product():
    rng = np.random.default_rng(0)
    x, U, V, b = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 6), (6, 2), (2, 5), (5,)))
    params = layers.Factored(*map(jnp.asarray, (U, V, b)))
    got = layers.factored_dense(params, jnp.asarray(x))
    np.testing.assert_allclose(got, x @ (U.astype(np.float64) @ V) + b, rtol=1e-4, atol=1e-5)
    check_grads(jax.jit(layers.factored_dense), (params, jnp.asarray(x)), order=2, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("rank", [1, 8, 64])
def test_starts_at_the_scale_of_the_dense_layer(key, rank):
    keys = jax.random.split(key, 200)
    params = jax.vmap(lambda k: layers.init_factored(k, 50, rank, 30))(keys)
    np.testing.assert_allclose(np.std(params.U @ params.V), (2 / 50) ** 0.5, rtol=0.1)


def test_parameters_and_rank(key):
    params = layers.init_factored(key, 40, 3, 20, bias=0.1)
    assert params.U.size + params.V.size == (40 + 20) * 3
    assert np.linalg.matrix_rank(params.U @ params.V) == 3
    np.testing.assert_allclose(params.b, np.full(20, 0.1), rtol=1e-6)
    with pytest.raises(ValueError, match="rank: got 0"):
        layers.init_factored(key, 4, 0, 2)
    with pytest.raises(ValueError, match=r"x: got shape \(1, 3\), allowed is \(\.\.\., inputs=40\)"):
        layers.factored_dense(params, jnp.zeros((1, 3)))


@pytest.mark.slow
def test_network_of_low_rank_is_the_network_of_the_products(key):
    factored, whole = models.mlp(6, (8, 5), 3, rank=2), models.mlp(6, (8, 5), 3)
    params = factored.init(key)
    products = tuple(layers.Dense(layer.U @ layer.V, layer.b) for layer in params.hidden)
    x = jax.random.normal(key, (4, 6))
    want = whole.apply(params._replace(hidden=products), x)
    np.testing.assert_allclose(factored.apply(params, x), want, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="rank: got -1"):
        models.mlp(6, (8,), 3, rank=-1)
