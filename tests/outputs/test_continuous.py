"""Distributions of real vectors against scipy.stats and numpyro, and what all of them must do."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as npd
import pytest
from jax.test_util import check_grads
from scipy import integrate, special, stats

from dlnotes.outputs import (
    Bernoulli,
    Categorical,
    DiagonalNormal,
    FullMixture,
    FullNormal,
    Laplace,
    Mixture,
    Normal,
)

RNG = np.random.default_rng(3)
B, N, D = 4, 3, 2


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def positive(*shape):
    return jnp.asarray(RNG.uniform(0.3, 2, shape), jnp.float32)


def factor(*batch):
    L = jnp.tril(normal(*batch, D, D), -1)
    return L + positive(*batch, D)[..., None] * jnp.broadcast_to(jnp.eye(D), L.shape)


FAMILY = {
    "Normal": (Normal(normal(B, D), positive(B, D)), normal(B, D)),
    "Laplace": (Laplace(normal(B, D), positive(B, D)), normal(B, D)),
    "DiagonalNormal": (DiagonalNormal(normal(B, D), positive(B, D)), normal(B, D)),
    "FullNormal": (FullNormal(normal(B, D), factor(B)), normal(B, D)),
    "Mixture": (Mixture(normal(B, N), normal(B, N, D), positive(B, N, D)), normal(B, D)),
    "FullMixture": (FullMixture(normal(B, N), normal(B, N, D), factor(B, N)), normal(B, D)),
    "Bernoulli": (Bernoulli(normal(B)), jnp.asarray(RNG.integers(0, 2, B))),
    "Categorical": (Categorical(normal(B, N)), jnp.asarray(RNG.integers(0, N, B))),
}
VECTORS = ("DiagonalNormal", "FullNormal", "Mixture", "FullMixture")
REAL = ("Normal", "Laplace", *VECTORS)


@pytest.fixture(params=FAMILY)
def member(request):
    return request.param, *FAMILY[request.param]


def test_jit_is_eager_and_vmap_is_a_loop(member):
    _, dist, y = member
    want = dist.log_prob(y)
    np.testing.assert_allclose(jax.jit(lambda d, y: d.log_prob(y))(dist, y), want, rtol=1e-5, atol=1e-6)
    each = jax.vmap(lambda d, y: d.log_prob(y))(dist, y)
    np.testing.assert_allclose(each, want, rtol=1e-5, atol=1e-6)
    for name in ("mean", "mode"):
        each = jnp.stack([getattr(jax.tree.map(lambda a, i=i: a[i], dist), name) for i in range(B)])
        np.testing.assert_allclose(each, getattr(dist, name), rtol=1e-5)


def test_gradients_are_those_of_differences(member):
    name, dist, y = member
    check_grads(jax.jit(lambda d: d.log_prob(y)), (dist,), 1, modes=["rev"], rtol=2e-2, atol=2e-2)
    if name in REAL:
        check_grads(jax.jit(dist.log_prob), (y,), 1, modes=["rev"], rtol=2e-2, atol=2e-2)


def test_log_prob_keeps_the_dtype_and_nears_float32(member):
    name, dist, y = member
    narrow = jax.tree.map(lambda a: a.astype(jnp.bfloat16), dist)
    short = y.astype(jnp.bfloat16) if name in REAL else y
    got = narrow.log_prob(short)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(got, np.float32), dist.log_prob(y), rtol=0.1, atol=0.15)
    assert narrow.sample(jax.random.key(0)).dtype in (jnp.bfloat16, jnp.int32)


@pytest.mark.parametrize("name", REAL)
def test_samples_have_the_mean_and_variance(name, key):
    dist, _ = FAMILY[name]
    draws = np.asarray(jax.vmap(dist.sample)(jax.random.split(key, 20_000)), np.float64)
    variance = dist.variance if name != "Normal" else jnp.square(dist.scale)
    error = np.sqrt(np.asarray(variance) / 20_000)
    assert np.all(np.abs(draws.mean(0) - np.asarray(dist.mean)) < 5 * error)
    np.testing.assert_allclose(draws.var(0), variance, rtol=0.12)


def test_laplace_against_scipy():
    dist, y = FAMILY["Laplace"]
    np.testing.assert_allclose(
        dist.log_prob(y), stats.laplace.logpdf(y, dist.location, dist.scale), rtol=1e-4
    )
    draws = Laplace(jnp.full(4000, 0.5), 0.3).sample(jax.random.key(1))
    assert stats.kstest(np.asarray(draws), stats.laplace(0.5, 0.3).cdf).pvalue > 1e-4


def test_diagonal_is_a_product_of_normals():
    dist, y = FAMILY["DiagonalNormal"]
    want = stats.norm.logpdf(y, dist.location, 1 / np.sqrt(dist.precision)).sum(-1)
    np.testing.assert_allclose(dist.log_prob(y), want, rtol=1e-4)


def test_full_against_scipy_and_numpyro():
    dist, y = FAMILY["FullNormal"]
    for i in range(B):
        want = stats.multivariate_normal(dist.location[i], np.asarray(dist.covariance[i], np.float64)).logpdf(
            y[i]
        )
        np.testing.assert_allclose(dist.log_prob(y)[i], want, rtol=1e-4)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        peer = npd.MultivariateNormal(dist.location, scale_tril=dist.factor)
        np.testing.assert_allclose(dist.log_prob(y), peer.log_prob(y), rtol=1e-4)
    np.testing.assert_allclose(dist.variance, jnp.diagonal(dist.covariance, axis1=-2, axis2=-1), rtol=1e-5)


def test_samples_of_a_full_covariance_have_it(key):
    dist = FullNormal(jnp.zeros((D,)), factor())
    draws = jax.vmap(dist.sample)(jax.random.split(key, 20_000))
    np.testing.assert_allclose(np.cov(np.asarray(draws).T), dist.covariance, atol=0.12)


def test_one_factor_serves_several_vectors():
    dist, y = FullNormal(normal(D), factor()), normal(5, D)
    many = FullNormal(jnp.broadcast_to(dist.location, (5, D)), dist.factor)
    np.testing.assert_allclose(many.log_prob(y), jnp.stack([dist.log_prob(v) for v in y]), rtol=1e-5)


def test_mixture_against_scipy():
    dist, y = FAMILY["Mixture"]
    each = stats.norm.logpdf(np.asarray(y)[:, None], dist.location, dist.scale).sum(-1)
    want = special.logsumexp(each + special.log_softmax(np.asarray(dist.logits, np.float64), -1), axis=-1)
    np.testing.assert_allclose(dist.log_prob(y), want, rtol=1e-4)
    np.testing.assert_allclose(dist.responsibilities(y).sum(-1), 1, rtol=1e-5)
    mode = np.stack([dist.log_prob(dist.location[:, i]) for i in range(N)]).argmax(0)
    np.testing.assert_allclose(dist.mode, np.asarray(dist.location)[np.arange(B), mode], rtol=1e-6)


def test_full_mixture_against_scipy():
    dist, y = FAMILY["FullMixture"]
    covariance = np.asarray(dist.component_covariance, np.float64)
    U = np.asarray(dist.factor, np.float64)
    np.testing.assert_allclose(
        covariance @ (np.swapaxes(U, -1, -2) @ U), np.broadcast_to(np.eye(D), U.shape), atol=1e-4
    )
    pi = special.softmax(np.asarray(dist.logits, np.float64), -1)
    for i in range(B):
        each = [stats.multivariate_normal(dist.location[i, k], covariance[i, k]).pdf(y[i]) for k in range(N)]
        np.testing.assert_allclose(dist.log_prob(y)[i], np.log(pi[i] @ each), rtol=1e-4)
        np.testing.assert_allclose(dist.responsibilities(y)[i], pi[i] * each / (pi[i] @ each), rtol=1e-3)
        mu = np.asarray(dist.location[i], np.float64)
        second = sum(p * (C + np.outer(m, m)) for p, C, m in zip(pi[i], covariance[i], mu))
        want = second - np.outer(pi[i] @ mu, pi[i] @ mu)
        np.testing.assert_allclose(dist.covariance[i], want, rtol=1e-3, atol=1e-4)


def test_a_mixture_integrates_to_one_and_its_samples_follow_it(key):
    dist = Mixture(
        jnp.array([0.2, -1.0, 0.5]), jnp.array([[-2.0], [0.3], [1.5]]), jnp.array([[0.4], [0.1], [0.6]])
    )
    density = jax.jit(lambda y: jnp.exp(dist.log_prob(y[None])))
    grid = np.linspace(-6, 6, 2001)
    values = np.asarray(jax.vmap(density)(jnp.asarray(grid, jnp.float32)), np.float64)
    assert integrate.trapezoid(values, grid) == pytest.approx(1, abs=1e-3)
    cumulative = integrate.cumulative_trapezoid(values, grid, initial=0)
    draws = np.asarray(jax.vmap(dist.sample)(jax.random.split(key, 4000)))[:, 0]
    assert stats.kstest(draws, lambda v: np.interp(v, grid, cumulative)).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("far", "spread"), [(1e4, 1.0), (1.0, 1e-3), (1e4, 1e3), (-1e4, 1e-2)])
def test_far_tails_and_narrow_densities_stay_finite(dtype, far, spread):
    at = jnp.zeros((1, D), dtype)
    y = jnp.full((1, D), far, dtype)
    s = jnp.full((1, D), spread, dtype)
    eye = jnp.eye(D, dtype=dtype)[None]
    narrow = eye / s[..., None]
    family = (
        Normal(at, s),
        Laplace(at, s),
        DiagonalNormal(at, 1 / (s * s)),
        FullNormal(at, eye * s[..., None]),
        Mixture(jnp.array([[1e4, -1e4]], dtype), jnp.stack([at, at + 1], 1), jnp.stack([s, s], 1)),
        FullMixture(
            jnp.array([[1e4, -1e4]], dtype),
            jnp.stack([at, at + 1], 1),
            jnp.stack([narrow] * 2, 1),
        ),
    )
    for dist in family:
        value, slope = jax.value_and_grad(lambda d: jnp.sum(d.log_prob(y)))(dist)
        assert np.isfinite(float(value)), dist
        assert all(np.isfinite(np.asarray(a, np.float32)).all() for a in jax.tree.leaves(slope)), dist
