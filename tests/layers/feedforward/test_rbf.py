"""Radial basis units against the equation, scipy's distances and scikit-learn's kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import rbf_kernel

from dlnotes import layers, models
from dlnotes.jax_internals import every_equation, program_of
from dlnotes.layers.feedforward.rbf import squared_distances


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_distances_keep_their_digits_far_from_the_origin(offset):
    rng = np.random.default_rng(0)
    x, W = (rng.normal(offset, 1, size=s).astype(np.float32) for s in ((7, 5), (4, 5)))
    want = cdist(x.astype(np.float64), W.astype(np.float64), "sqeuclidean")
    np.testing.assert_allclose(
        squared_distances(jnp.asarray(x), jnp.asarray(W.T)), want, rtol=2e-5, atol=2e-5
    )


def test_units_are_a_gaussian_kernel():
    rng = np.random.default_rng(1)
    x, W = (rng.normal(size=s).astype(np.float32) for s in ((7, 5), (4, 5)))
    sigma = 1.7
    params = layers.RBF(jnp.asarray(W.T), jnp.full(4, np.log(sigma), jnp.float32))
    got = layers.rbf(params, jnp.asarray(x))
    np.testing.assert_allclose(got, rbf_kernel(x, W, gamma=1 / sigma**2), rtol=1e-5, atol=1e-6)
    check_grads(jax.jit(layers.rbf), (params, jnp.asarray(x)), order=2, rtol=1e-2, atol=1e-2)


def test_gradient_is_zero_at_the_center_and_far_away():
    params = layers.RBF(jnp.zeros((3, 1)), jnp.zeros(1))
    slope = jax.jit(jax.grad(lambda x: layers.rbf(params, x)[0]))
    np.testing.assert_array_equal(slope(jnp.zeros(3)), np.zeros(3))
    assert np.abs(slope(jnp.full(3, 3.0))).max() < 1e-10
    assert np.abs(slope(jnp.full(3, 0.5))).min() > 0.1


def test_no_array_of_units_times_features_times_examples():
    params = layers.RBF(jnp.zeros((11, 5)), jnp.zeros(5))
    program = program_of(jax.grad(lambda p, x: layers.rbf(p, x).sum()), params, jnp.zeros((7, 11)))
    sizes = [np.prod(value.shape) for e in every_equation(program) for value in e.outputs]
    assert max(sizes) <= 7 * 11


def test_centers_are_different_data_points(key):
    points = np.random.default_rng(2).normal(size=(9, 3)).astype(np.float32)
    layer = layers.init_rbf(key, 3, 6, centers=jnp.asarray(points), init_scale=5.0)
    rows = [int(np.flatnonzero((points == c).all(1))[0]) for c in np.asarray(layer.centers).T]
    assert len(set(rows)) == 6
    other = layers.init_rbf(jax.random.key(1), 3, 6, centers=jnp.asarray(points))
    assert not np.array_equal(layer.centers, other.centers)


def test_random_centers(key):
    layer = layers.init_rbf(key, 40, 500, init_scale=0.5)
    np.testing.assert_allclose(np.std(layer.centers), 0.5, rtol=0.02)
    np.testing.assert_allclose(np.exp(layer.log_sigma), np.full(500, 40**0.5), rtol=1e-6)


def test_what_is_refused(key):
    with pytest.raises(ValueError, match=r"sigma: got -1"):
        layers.init_rbf(key, 3, 4, sigma=-1)
    with pytest.raises(ValueError, match=r"centers: got shape \(2, 3\)"):
        layers.init_rbf(key, 3, 4, centers=jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"x: got shape \(1, 2\), allowed is \(\.\.\., inputs=3\)"):
        layers.rbf(layers.init_rbf(key, 3, 4), jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"centers: got 2 points"):
        models.rbf_network(3, 4, 1, centers=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"units: got 0"):
        models.rbf_network(3, 0, 1)
