"""Pooling with a stride of one against scipy's filters and the general window operation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dlnotes import layers


@pytest.mark.parametrize("sizes", [(7,), (6, 5), (4, 5, 3)])
@pytest.mark.parametrize("window", [1, 3, 5])
def test_the_largest_against_scipy(sizes, window):
    x = np.random.default_rng(0).normal(size=(2, *sizes, 3)).astype(np.float32)
    want = scipy.ndimage.maximum_filter(x, (1, *(window,) * len(sizes), 1), mode="constant", cval=-np.inf)
    np.testing.assert_array_equal(layers.neighborhood_pool(jnp.asarray(x), window), want)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_values_and_gradient_against_the_window_operation(kind, key):
    x, g = jax.random.normal(key, (2, 2, 6, 5, 3))
    pool = {"max": layers.max_pool, "average": layers.avg_pool}[kind]
    y, back = jax.vjp(lambda x: layers.neighborhood_pool(x, 3, kind), x)
    want, want_back = jax.vjp(lambda x: pool(x, 3, 1, "SAME"), x)
    np.testing.assert_allclose(y, want, rtol=1e-6)
    np.testing.assert_allclose(back(g)[0], want_back(g)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_mask_ends_the_example(kind, key):
    x = jax.random.normal(key, (1, 6, 5, 2)) - 3
    wide = jnp.full((1, 8, 9, 2), 9.0).at[:, :6, :5].set(x)
    mask = jnp.zeros((1, 8, 9), bool).at[:, :6, :5].set(True)
    got = layers.neighborhood_pool(wide, 5, kind, mask=mask)
    np.testing.assert_allclose(got[:, :6, :5], layers.neighborhood_pool(x, 5, kind), rtol=1e-5)
    assert not np.asarray(got)[~np.asarray(mask)].any()
    grad = jax.grad(lambda x: layers.neighborhood_pool(x, 5, kind, mask=mask).sum())(wide)
    assert np.isfinite(grad).all()
    assert not np.asarray(grad)[~np.asarray(mask)].any()


def test_whole_numbers():
    x = jnp.array([-5, -7, -2]).reshape(1, 3, 1)
    assert layers.neighborhood_pool(x)[0, :, 0].tolist() == [-5, -2, -2]


def test_what_is_refused():
    x = jnp.zeros((1, 4, 1))
    with pytest.raises(ValueError, match="window: got 2, allowed is an odd width"):
        layers.neighborhood_pool(x, 2)
    with pytest.raises(ValueError, match="kind: got 'mean'"):
        layers.neighborhood_pool(x, 3, "mean")
