"""Maxout against a loop, and the functions the notes say it contains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes import layers


def test_maxout_is_the_largest_of_each_group():
    z = np.random.default_rng(0).normal(size=(3, 2, 6)).astype(np.float32)
    want = np.stack([z[..., :3].max(-1), z[..., 3:].max(-1)], -1)
    np.testing.assert_array_equal(layers.maxout(jnp.asarray(z), 3), want)
    check_grads(jax.jit(lambda z: layers.maxout(z, 3)), (jnp.asarray(z),), order=1, rtol=1e-2)


@pytest.mark.parametrize("k", [0, 4, -2])
def test_pieces_must_divide(k):
    with pytest.raises(ValueError, match=f"k: got {k}"):
        layers.maxout(jnp.ones((2, 6)), k)


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu"])
def test_two_pieces_contain_relu_and_its_kin(name):
    x = jnp.linspace(-2, 2, 9)[:, None]
    slope = {"relu": 0.0, "abs": -1.0, "leaky_relu": 0.01}[name]
    params = layers.Dense(jnp.array([[1.0, slope]]), jnp.zeros(2))
    np.testing.assert_allclose(layers.dense_maxout(params, x, 2), layers.activation(name)(x), rtol=1e-6)


def test_ties_share_the_gradient():
    g = jax.grad(lambda z: layers.maxout(z, 3)[0])(jnp.array([2.0, 2.0, 1.0]))
    np.testing.assert_array_equal(g, [0.5, 0.5, 0])


def test_convolutional_maxout_is_the_largest_of_each_group_of_maps():
    rng = np.random.default_rng(3)
    x, K, b = (rng.normal(size=s).astype(np.float32) for s in ((2, 5, 6, 3), (3, 3, 3, 8), (8,)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    maps = np.einsum("nijcab,abco->nijo", windows, K) + b
    want = np.stack([maps[..., 4 * i : 4 * i + 4].max(-1) for i in range(2)], -1)
    params = layers.Convolution(jnp.asarray(K), jnp.asarray(b))
    got = layers.conv_maxout(params, jnp.asarray(x), 4, padding="VALID")
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="k: got 3"):
        layers.conv_maxout(params, jnp.asarray(x), 3)
