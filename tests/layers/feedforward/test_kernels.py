"""Kernels, their explicit φ and ridge in both forms, against scikit-learn, enumeration and closed forms."""

from functools import partial
from itertools import product
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from sklearn.kernel_approximation import RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise

from dlnotes import layers


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def test_kernels_are_those_of_scikit_learn():
    x, z = (a.astype(np.float32) for a in draw(0, (7, 5), (4, 5)))
    np.testing.assert_allclose(layers.rbf_kernel(x, z, 0.3), pairwise.rbf_kernel(x, z, 0.3), rtol=2e-5)
    for degree, offset in product((1, 2, 3), (0.0, 0.7)):
        want = pairwise.polynomial_kernel(x, z, degree=degree, gamma=1, coef0=offset)
        np.testing.assert_allclose(layers.polynomial_kernel(x, z, degree, offset), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("inputs", "degree", "offset"), [(1, 3, 1.0), (3, 2, 0.5), (4, 4, 1.3), (2, 3, 0.0)])
def test_inner_products_of_explicit_features_are_the_kernel(inputs, degree, offset):
    with jax.enable_x64(True):
        x, z = map(jnp.asarray, draw(1, (6, inputs), (5, inputs)))
        phi, psi = (layers.polynomial_features(a, degree, offset) for a in (x, z))
        assert phi.shape == (6, comb(inputs + degree, degree))
        want = (np.asarray(x) @ np.asarray(z).T + offset) ** degree
        np.testing.assert_allclose(phi @ psi.T, want, rtol=1e-12, atol=1e-12)


def test_dual_is_primal_and_scikit_learns():
    with jax.enable_x64(True):
        x, y, new = map(jnp.asarray, draw(2, (30, 3), (30, 2), (11, 3)))
        penalty = 0.17
        phi, at = (layers.polynomial_features(a, 3, 0.6) for a in (x, new))
        K, across = (layers.polynomial_kernel(a, x, 3, 0.6) for a in (x, new))
        w, alpha = layers.primal_ridge(phi, y, penalty), layers.dual_ridge(K, y, penalty)
        np.testing.assert_allclose(at @ w, across @ alpha, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(w, phi.T @ alpha, rtol=1e-8, atol=1e-9)
        kernel = KernelRidge(alpha=penalty, kernel="poly", degree=3, gamma=1, coef0=0.6).fit(x, y)
        np.testing.assert_allclose(alpha, kernel.dual_coef_, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(across @ alpha, kernel.predict(new), rtol=1e-8, atol=1e-9)
        linear = Ridge(alpha=penalty, fit_intercept=False).fit(phi, y)
        np.testing.assert_allclose(w, linear.coef_.T, rtol=1e-8, atol=1e-9)
        rbf = KernelRidge(alpha=penalty, kernel="rbf", gamma=0.4).fit(x, y)
        got = layers.rbf_kernel(new, x, 0.4) @ layers.dual_ridge(layers.rbf_kernel(x, x, 0.4), y, penalty)
        np.testing.assert_allclose(got, rbf.predict(new), rtol=1e-8, atol=1e-9)


def test_fourier_features_are_those_of_scikit_learn():
    (x,) = draw(3, (9, 4))
    sampler = RBFSampler(gamma=0.6, n_components=50, random_state=0).fit(x)
    params = layers.FourierFeatures(
        jnp.asarray(sampler.random_weights_, jnp.float32), jnp.asarray(sampler.random_offset_, jnp.float32)
    )
    got = layers.fourier_features(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, sampler.transform(x), rtol=1e-4, atol=1e-5)


def test_frequencies_and_phases_have_their_distributions():
    params = layers.init_fourier_features(jax.random.key(0), 3, 40_000, 0.7)
    w = np.asarray(params.frequencies)
    np.testing.assert_allclose(w.mean(1), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(w), 1.4 * np.eye(3), atol=0.04)
    np.testing.assert_allclose((w**4).mean(1), 3 * 1.4**2, rtol=0.05)  # of a normal, no other
    phases = np.asarray(params.phases)
    assert 0 <= phases.min() < 0.001 < 6.28 < phases.max() <= 2 * np.pi
    np.testing.assert_allclose(np.histogram(phases, 10, (0, 2 * np.pi))[0] / 40_000, 0.1, atol=0.006)


@pytest.mark.parametrize("features", [4, 64])
def test_deviation_and_mean_over_draws(features):
    """The closed form against 4,000 draws."""
    x, z = (jnp.asarray(a, jnp.float32) for a in draw(4, (5, 2), (3, 2)))

    @jax.jit
    def inner(key):
        params = layers.init_fourier_features(key, 2, features, 0.4)
        return layers.fourier_features(params, x) @ layers.fourier_features(params, z).T

    found = np.asarray(jax.lax.map(inner, jax.random.split(jax.random.key(1), 4000), batch_size=500))
    K = layers.rbf_kernel(x, z, 0.4)
    want = np.asarray(layers.fourier_deviation(K, features))
    np.testing.assert_allclose(found.std(0), want, rtol=0.06)
    assert np.abs((found.mean(0) - K) / (want / np.sqrt(4000))).max() < 4
    np.testing.assert_allclose(layers.fourier_deviation(jnp.ones(1), features), (0.5 / features) ** 0.5)


def test_gradients_and_traced_numbers():
    x, z, y = (jnp.asarray(a, jnp.float32) for a in draw(5, (6, 3), (4, 3), (6, 1)))

    def fitted(x, gamma, penalty):
        alpha = layers.dual_ridge(layers.rbf_kernel(x, x, gamma), y, penalty)
        return layers.rbf_kernel(z, x, gamma) @ alpha

    check_grads(jax.jit(fitted), (x, jnp.float32(0.5), jnp.float32(0.3)), order=1, rtol=2e-2, atol=2e-2)
    check_grads(partial(layers.polynomial_features, degree=3), (x,), order=1, rtol=2e-2, atol=2e-2)


def test_what_is_not_allowed_is_named():
    x, y = np.ones((4, 2)), np.ones((4, 1))
    K = np.eye(4)
    wrong = {
        "z: got": lambda: layers.rbf_kernel(x, np.ones((3, 5)), 1.0),
        "x: got": lambda: layers.rbf_kernel(x[0], x, 1.0),
        "gamma: got 0": lambda: layers.rbf_kernel(x, x, 0),
        "gamma: got nan": lambda: layers.rbf_kernel(x, x, float("nan")),
        "offset: got -1": lambda: layers.polynomial_kernel(x, x, 2, -1.0),
        "degree: got 0": lambda: layers.polynomial_features(x, 0),
        "degree: got 9": lambda: layers.polynomial_features(np.ones((1, 784)), 9),
        "penalty: got 0": lambda: layers.dual_ridge(K, y, 0),
        "kernel: got": lambda: layers.dual_ridge(K[:, :2], y, 1.0),
        "features, y: got": lambda: layers.primal_ridge(x, y[:, 0], 1.0),
        "features: got 0": lambda: layers.init_fourier_features(0, 2, 0, 1.0),
    }
    for told, call in wrong.items():
        with pytest.raises(ValueError, match=told):
            call()
