"""Output distributions against scipy.stats, numpyro and sampling."""

# pyright: reportOptionalMemberAccess=false

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as npd
import pytest
from scipy import special, stats

from dlnotes.outputs import Bernoulli, Categorical, Normal


def close(got, expected, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_categorical_against_numpyro_and_scipy(rng):
    z = rng.normal(size=(6, 4, 5)).astype(np.float32) * 3
    y = rng.integers(0, 5, (6, 4))
    dist = Categorical(jnp.asarray(z))
    close(dist.log_prob(jnp.asarray(y)), np.asarray(npd.Categorical(logits=jnp.asarray(z)).log_prob(y)))
    p = special.softmax(z.astype(np.float64), -1)
    close(dist.mean, p)
    np.testing.assert_array_equal(dist.mode, z.argmax(-1))
    close(dist.log_prob(jnp.asarray(y)), np.log(np.take_along_axis(p, y[..., None], -1)[..., 0]))


def test_categorical_samples_have_its_probabilities(key):
    z = jnp.array([0.3, -1.0, 1.2, 0.0])
    draws = jax.vmap(lambda k: Categorical(z).sample(k))(jax.random.split(key, 4000))
    counts = np.bincount(np.asarray(draws), minlength=4)
    assert stats.chisquare(counts, 4000 * special.softmax(np.asarray(z, np.float64)) / 1.0).pvalue > 1e-4


def test_bernoulli_against_scipy(rng):
    z = rng.normal(size=(7, 3)).astype(np.float32) * 4
    dist = Bernoulli(jnp.asarray(z))
    p = special.expit(z.astype(np.float64))
    for dtype in (jnp.int32, jnp.uint8, jnp.float32):
        y = rng.integers(0, 2, (7, 3))
        close(dist.log_prob(jnp.asarray(y, dtype)), stats.bernoulli.logpmf(y, p), 1e-4)
    close(dist.mean, p)
    np.testing.assert_array_equal(dist.mode, z > 0)


def test_bernoulli_samples_have_its_probability(key):
    draws = np.asarray(Bernoulli(jnp.full(5000, -0.7)).sample(key))
    assert draws.dtype == np.int32
    assert stats.binomtest(int(draws.sum()), 5000, special.expit(-0.7)).pvalue > 1e-4


def test_normal_against_scipy(rng):
    location = rng.normal(size=(4, 3)).astype(np.float32)
    scale = rng.uniform(0.2, 2, (4, 3)).astype(np.float32)
    y = rng.normal(size=(4, 3)).astype(np.float32)
    dist = Normal(jnp.asarray(location), jnp.asarray(scale))
    close(dist.log_prob(jnp.asarray(y)), stats.norm.logpdf(y, location, scale), 1e-4)
    close(Normal(jnp.asarray(location)).log_prob(jnp.asarray(y)), stats.norm.logpdf(y, location), 1e-4)
    close(dist.mean, location)
    close(dist.mode, location)


def test_normal_samples_pass_a_kolmogorov_test(key):
    draws = np.asarray(Normal(jnp.full(4000, 1.5), 0.3).sample(key))
    assert stats.kstest(draws, stats.norm(1.5, 0.3).cdf).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_logits_stay_finite_with_finite_gradients(dtype, extreme):
    z = jnp.array([extreme, 0.0, -extreme], dtype)
    for y in (0, 1, 2):
        value, gradient = jax.value_and_grad(lambda z, y=y: Categorical(z).log_prob(jnp.array(y)))(z)
        assert np.isfinite(float(value))
        assert np.isfinite(np.asarray(gradient, np.float32)).all()
        y2 = jnp.full(3, y % 2)
        value, gradient = jax.value_and_grad(lambda z, y2=y2: Bernoulli(z).log_prob(y2).sum())(z)
        assert np.isfinite(float(value))
        assert np.isfinite(np.asarray(gradient, np.float32)).all()


def test_distributions_pass_through_jit_and_vmap(rng):
    z = jnp.asarray(rng.normal(size=(5, 3)).astype(np.float32))
    y = jnp.asarray(rng.integers(0, 3, 5))
    whole = Categorical(z).log_prob(y)
    close(jax.jit(jax.vmap(lambda z, y: Categorical(z).log_prob(y)))(z, y), whole)
