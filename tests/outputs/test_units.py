"""Output units: what their raw numbers mean, and the losses made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import stats

from dlnotes import outputs
from dlnotes.outputs import UNITS, full_covariance, heteroscedastic, mixture, unit

RNG = np.random.default_rng(1)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def zeta(a):
    return np.logaddexp(0, np.asarray(a, np.float64))


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_heteroscedastic_spreads_mean_what_they_say(floor):
    raw = normal(5, 4)
    s = zeta(raw[:, 2:])
    want = {"precision": 1 / s + floor**2, "variance": s + floor**2, "scale": (s + floor) ** 2}
    for by, variance in want.items():
        dist = heteroscedastic(raw, by, floor=floor)
        np.testing.assert_allclose(dist.variance, variance, rtol=1e-4)
        np.testing.assert_array_equal(dist.mean, raw[:, :2])


def test_full_covariance_fills_the_factor_row_by_row():
    raw = normal(2, 3 + 6)
    dist = full_covariance(raw, 3, floor=0.1)
    L = np.zeros((2, 3, 3))
    L[:, *np.tril_indices(3)] = raw[:, 3:]
    for j in range(3):
        L[:, j, j] = zeta(L[:, j, j]) + 0.1
    np.testing.assert_allclose(dist.factor, L, rtol=1e-5)
    assert (np.linalg.eigvalsh(np.asarray(dist.covariance)) > 0).all()


def test_every_positive_definite_matrix_has_raw_numbers():
    A = RNG.normal(size=(3, 3))
    covariance = A @ A.T
    L = np.linalg.cholesky(covariance)
    raw_L = np.where(np.eye(3, dtype=bool), np.log(np.expm1(np.maximum(L, 1e-9))), L)[np.tril_indices(3)]
    raw = jnp.asarray(np.concatenate([np.zeros(3), raw_L]), jnp.float32)
    np.testing.assert_allclose(full_covariance(raw, 3).covariance, covariance, rtol=1e-3, atol=1e-4)


def test_mixture_takes_logits_means_and_deviations():
    raw = normal(4, 3 * 5)
    dist = mixture(raw, 3, 2, floor=0.01)
    np.testing.assert_array_equal(dist.logits, raw[:, :3])
    np.testing.assert_array_equal(dist.location, raw[:, 3:9].reshape(4, 3, 2))
    np.testing.assert_allclose(dist.scale, zeta(raw[:, 9:]).reshape(4, 3, 2) + 0.01, rtol=1e-5)


@pytest.mark.parametrize("name", UNITS)
def test_losses_are_minus_log_p_and_have_gradients(name):
    made = unit(name, 2, components=3, floor=0.05)
    raw, y = normal(4, made.size), normal(4, 2)
    got = outputs.likelihood(made.distribution, raw, y)
    log_p = np.asarray(made.distribution(raw).log_prob(y)).reshape(4, -1).sum(-1)
    np.testing.assert_allclose(got.total, -log_p, rtol=1e-5)
    np.testing.assert_array_equal(got.count, np.ones(4))
    check_grads(
        jax.jit(lambda r: outputs.likelihood(made.distribution, r, y).total),
        (raw,),
        1,
        modes=["rev"],
        rtol=3e-2,
        atol=1e-2,
    )


def test_losses_by_name():
    raw, y = normal(6, 4), normal(6, 2)
    by_hand = -stats.norm.logpdf(y, raw[:, :2], zeta(raw[:, 2:]) ** -0.5).sum(-1)
    np.testing.assert_allclose(outputs.heteroscedastic_nll(raw, y).total, by_hand, rtol=1e-4)
    np.testing.assert_allclose(
        outputs.laplace_nll(y + 1, y).total, np.full(6, 2 * (1 + np.log(2))), rtol=1e-5
    )
    raw = normal(6, 5)
    np.testing.assert_allclose(
        outputs.full_covariance_nll(raw, y).total, -full_covariance(raw, 2).log_prob(y), rtol=1e-5
    )
    raw = normal(6, 10)
    np.testing.assert_allclose(
        outputs.mixture_nll(raw, y, components=2).total, -mixture(raw, 2, 2).log_prob(y), rtol=1e-5
    )


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_raw_numbers_stay_finite(name, extreme):
    made = unit(name, 1, components=2)
    raw = jnp.full((1, made.size), extreme)
    raw = raw.at[:, made.size // 2 - 1].set(1.0) if name == "heteroscedastic" else raw
    value, slope = jax.value_and_grad(
        lambda r: outputs.likelihood(made.distribution, r, jnp.ones((1, 1))).total.sum()
    )(raw)
    if name in ("laplace", "heteroscedastic") or extreme > 0:
        assert np.isfinite(float(value))
        assert np.isfinite(np.asarray(slope)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: heteroscedastic(normal(3)), "raw: got shape"),
        (lambda: heteroscedastic(normal(2), "sigma"), "by: got 'sigma'"),
        (lambda: heteroscedastic(normal(2), floor=-1.0), "floor: got -1.0"),
        (lambda: full_covariance(normal(4), 2), "the last axis must have 5"),
        (lambda: mixture(normal(4), 2, 1), "the last axis must have 6"),
        (lambda: mixture(normal(4), 0, 1), "components: got 0"),
        (lambda: unit("gamma", 1), "name: got 'gamma'"),
        (lambda: outputs.laplace_nll(normal(4, 2), normal(4, 1)), "gives a distribution of shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
