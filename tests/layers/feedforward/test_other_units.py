"""Unpublished hidden units against numpy and scipy, and the rectifier's derivative at its kink."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from dlnotes import layers

Z = np.array([-30.0, -3.1, -0.7, -1e-3, 0.2, 1.7, 25.0])
ORACLES = {
    "cosine": np.cos,
    "odd_bump": lambda z: z * np.exp(-(z**2)),
    "sine_plus": lambda z: z + np.sin(z),
    "erf": scipy.special.erf,
}


@pytest.mark.parametrize("name", ORACLES)
def test_value_and_slope(name):
    g, want = getattr(layers, name), ORACLES[name]
    np.testing.assert_allclose(g(jnp.asarray(Z, jnp.float32)), want(Z), rtol=2e-6, atol=2e-6)
    slope = (want(Z + 1e-6) - want(Z - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.vmap(jax.grad(g))(jnp.asarray(Z, jnp.float32)), slope, atol=2e-5)
    assert g(jnp.asarray(Z, jnp.bfloat16)).dtype == jnp.bfloat16
    np.testing.assert_allclose(g([1, -2]), want(np.array([1.0, -2.0])), rtol=2e-6)


def test_the_largest_value_of_the_bump():
    z = jnp.linspace(-3, 3, 6001)
    assert abs(float(z[jnp.argmax(layers.odd_bump(z))]) - 0.5**0.5) < 1e-3


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_rectifier_has_the_derivative_it_is_told_at_zero_and_its_own_elsewhere(slope):
    z = jnp.array([-2.0, -1e-30, 0.0, 1e-30, 3.0])
    np.testing.assert_array_equal(layers.relu_with_slope(z, slope), np.maximum(z, 0))
    got = jax.vmap(jax.grad(layers.relu_with_slope), (0, None))(z, slope)
    np.testing.assert_array_equal(got, [0, 0, slope, 1, 1])
    forward = jax.jvp(lambda z: layers.relu_with_slope(z, slope), (z,), (jnp.ones_like(z),))[1]
    np.testing.assert_array_equal(forward, got)
    np.testing.assert_array_equal(layers.relu_with_slope(-jnp.zeros(1), slope), [0.0])
    assert bool(jnp.isinf(layers.relu_with_slope(jnp.array([jnp.inf]), slope))[0])
    assert float(layers.relu_with_slope(jnp.array([-jnp.inf]), slope)[0]) == 0


def test_slopes_can_differ_between_members(key):
    z, slopes = jnp.zeros(3), jnp.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(layers.relu_with_slope))(z, slopes), slopes)


def test_a_random_function_is_the_sum_that_is_written(key):
    params = layers.init_smooth_unit(key, waves=5, length=0.7)
    z = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    w, p = np.asarray(params.frequencies), np.asarray(params.phases)
    want = (2 / 5) ** 0.5 * np.cos(z[..., None] * w + p).sum(-1)
    np.testing.assert_allclose(layers.smooth_unit(params, z), want, rtol=1e-5, atol=1e-5)


def test_random_functions_have_the_covariance_of_a_gaussian_process():
    from sklearn.gaussian_process.kernels import RBF

    z, length = np.linspace(-2, 2, 5, dtype=np.float32), 0.8
    keys = jax.random.split(jax.random.key(3), 20_000)
    draw = jax.jit(
        jax.vmap(lambda k: layers.smooth_unit(layers.init_smooth_unit(k, 6, length), jnp.asarray(z)))
    )
    values = np.asarray(draw(keys), np.float64)
    np.testing.assert_allclose(values.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(values.T), RBF(length)(z[:, None].astype(float)), atol=0.04)


def test_what_is_refused():
    with pytest.raises(ValueError, match="waves: got 0"):
        layers.init_smooth_unit(1, waves=0)
    with pytest.raises(ValueError, match=r"length: got -1\.0, allowed is a positive number"):
        layers.init_smooth_unit(1, length=-1.0)
    with pytest.raises(ValueError, match="phases"):
        layers.smooth_unit(layers.SmoothUnit(jnp.ones(3), jnp.ones(2)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"at_zero: got shape \(2,\), allowed is \(\)"):
        layers.relu_with_slope(jnp.ones(2), jnp.ones(2))
