"""Activations and initializers against closed forms and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from dlnotes import layers

ORACLES = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.maximum(z, 0) + 0.01 * np.minimum(z, 0),
    "abs": np.abs,
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "softplus": lambda z: np.logaddexp(0, z),
    "gelu": lambda z: z * scipy.stats.norm.cdf(z),
    "silu": lambda z: z * scipy.special.expit(z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "identity": lambda z: z,
}


@pytest.mark.parametrize("name", sorted(layers.ACTIVATIONS))
def test_value_and_slope(name):
    g = layers.activation(name)
    z = np.array([-80.0, -3.1, -0.7, -1e-3, 0.2, 1.7, 60.0])
    np.testing.assert_allclose(g(jnp.asarray(z, jnp.float32)), ORACLES[name](z), rtol=2e-6, atol=1e-7)
    inner = z[1:-1]
    slope = (ORACLES[name](inner + 1e-6) - ORACLES[name](inner - 1e-6)) / 2e-6
    got = jax.vmap(jax.grad(g))(jnp.asarray(inner, jnp.float32))
    np.testing.assert_allclose(got, slope, rtol=1e-4, atol=1e-5)
    assert g(jnp.asarray(z, jnp.bfloat16)).dtype == jnp.bfloat16


def test_table_and_oracles_agree():
    assert set(ORACLES) == set(layers.ACTIVATIONS)


def test_slopes_at_the_kink():
    assert jax.grad(layers.relu)(0.0) == 0
    assert jax.grad(layers.absolute)(0.0) == 0
    assert jax.grad(lambda z: layers.leaky_relu(z, 0.3))(jnp.float32(0)) == jnp.float32(0.3)


def test_prelu(key):
    z = jax.random.normal(key, (4, 3))
    alpha = jnp.array([0.1, -0.5, 2.0])
    want = np.maximum(z, 0) + np.asarray(alpha)[None] * np.minimum(z, 0)
    np.testing.assert_allclose(layers.prelu(z, alpha), want, rtol=1e-6)
    slope = jax.grad(lambda a: layers.prelu(z, a).sum())(alpha)
    np.testing.assert_allclose(slope, np.minimum(z, 0).sum(0), rtol=1e-6)


def test_monotone_activations_commute_with_max():
    from dlnotes.layers.activations import MONOTONE

    z = np.linspace(-4, 4, 81)
    for name, g in ORACLES.items():
        assert (name in MONOTONE) == bool((np.diff(g(z)) >= 0).all())


def test_unknown_names():
    with pytest.raises(ValueError, match=r"activation: got 'leaky_rely'.*did you mean 'leaky_relu'"):
        layers.activation("leaky_rely")
    with pytest.raises(ValueError, match=r"initializer: got 'he_norml'.*did you mean 'he_normal'"):
        layers.initializer("he_norml")


DEVIATION = {
    "he_normal": (2 / 300) ** 0.5,
    "he_uniform": (2 / 300) ** 0.5,
    "glorot_normal": (2 / 500) ** 0.5,
    "glorot_uniform": (2 / 500) ** 0.5,
    "lecun_normal": (1 / 300) ** 0.5,
    "normal": 1.0,
    "orthogonal": (1 / 300) ** 0.5,
    "zeros": 0.0,
}


@pytest.mark.parametrize("name", sorted(layers.INITIALIZERS))
def test_initial_deviation(name, key):
    W = layers.initializer(name)(key, (300, 200))
    assert W.dtype == jnp.float32
    np.testing.assert_allclose(W.std(), DEVIATION[name], rtol=0.03)
    if name == "orthogonal":
        np.testing.assert_allclose(W.T @ W, np.eye(200), atol=1e-5)


def test_init_scale_may_be_traced(key):
    f = jax.jit(jax.vmap(lambda s: layers.initializer("he_normal", s)(key, (3, 2))))
    base = layers.initializer("he_normal")(key, (3, 2))
    np.testing.assert_allclose(f(jnp.array([0.5, 2.0])), np.stack([0.5 * base, 2 * base]), rtol=1e-6)
