"""Counts by scipy's distributions; weights by scikit-learn's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.utils.class_weight import compute_class_weight

from dlnotes.outputs import cross_entropy, likelihood, mean_of, squared_error
from dlnotes.outputs.counts import COUNTS, LEAST, NegativeBinomial, Poisson, count_unit
from dlnotes.outputs.weighted import balanced, join_weights, parted, unweighted, weighted

RNG = np.random.default_rng(0)
Y = RNG.poisson(4, size=(50, 2)).astype(np.float32)
RAW = RNG.normal(size=(50, 4)).astype(np.float32)


def test_poisson_is_scipys():
    own = Poisson(jnp.asarray(RAW[:, :2]))
    np.testing.assert_allclose(
        own.log_prob(jnp.asarray(Y)), stats.poisson.logpmf(Y, np.exp(RAW[:, :2])), rtol=1e-4
    )
    np.testing.assert_allclose(own.mode, np.floor(np.exp(RAW[:, :2])))


@pytest.mark.parametrize("dispersion", [0.01, 0.3, 2.0])
def test_negative_binomial_is_scipys(dispersion):
    mean = np.exp(RAW[:, :2])
    own = NegativeBinomial(jnp.asarray(RAW[:, :2]), jnp.full((50, 2), dispersion, jnp.float32))
    given = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    np.testing.assert_allclose(own.log_prob(jnp.asarray(Y)), given.logpmf(Y), rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(own.mean, given.mean(), rtol=1e-4)
    np.testing.assert_allclose(own.variance, given.var(), rtol=1e-4)


@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial])
def test_samples_have_the_mean_and_the_variance(kind):
    parts = [jnp.full((20_000,), np.log(3.0), jnp.float32)]
    own = kind(*parts) if kind is Poisson else kind(*parts, jnp.full((20_000,), 0.5, jnp.float32))
    drawn = np.asarray(own.sample(jax.random.key(0)))
    assert drawn.mean() == pytest.approx(3.0, rel=0.05)
    assert drawn.var() == pytest.approx(float(own.variance[0]), rel=0.1)


@pytest.mark.parametrize("name", COUNTS)
def test_units_start_at_the_level_and_have_finite_gradients(name):
    unit = count_unit(name, 2, level=[5.0, 0.01])
    raw = jnp.zeros((50, unit.size))
    np.testing.assert_allclose(unit.distribution(raw).mean, np.broadcast_to([5.0, 0.01], (50, 2)), rtol=1e-5)
    slope = jax.grad(lambda raw: likelihood(unit.distribution, raw, jnp.asarray(Y)).total.sum())(raw)
    assert np.isfinite(slope).all()
    if name == "negative_binomial":
        assert float(unit.distribution(raw - 100.0).dispersion.min()) == pytest.approx(LEAST)
    with pytest.raises(ValueError, match="level: got"):
        count_unit(name, 2, level=[1.0, 0.0])


def test_balanced_weights_are_scikit_learns():
    y = RNG.integers(3, size=70) % 3
    y = np.where(RNG.random(70) < 0.5, 0, y)
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=y)
    np.testing.assert_allclose(balanced(y, 3), wanted)
    with pytest.raises(ValueError, match="class 3 does not occur"):
        balanced(y, 4)


def test_a_weight_of_two_is_an_example_twice():
    logits, y = jnp.asarray(RAW), jnp.asarray(RNG.integers(4, size=50), jnp.int32)
    w = RNG.integers(0, 3, size=50).astype(np.float32)
    joined = jnp.asarray(join_weights(np.asarray(y), w))
    own = mean_of(weighted(cross_entropy, classes=True, outputs=4)(logits, joined), jnp.ones(50))
    rows = np.repeat(np.arange(50), w.astype(int))
    twice = mean_of(cross_entropy(logits[rows], y[rows]), jnp.ones(len(rows)))
    np.testing.assert_allclose(own, twice, rtol=1e-5)
    plain = unweighted(cross_entropy, classes=True, outputs=4)
    np.testing.assert_array_equal(plain(logits, joined).total, cross_entropy(logits, y).total)
    by_class = weighted(cross_entropy, classes=True, outputs=4, class_weights=[0.0, 1.0, 2.0, 1.0])
    rows = np.repeat(np.arange(50), np.array([0, 1, 2, 1])[np.asarray(y)])
    wanted = mean_of(cross_entropy(logits[rows], y[rows]), jnp.ones(len(rows)))
    np.testing.assert_allclose(mean_of(by_class(logits, y), jnp.ones(50)), wanted, rtol=1e-5)
    numbers = jnp.asarray(join_weights(Y, w))
    own = mean_of(weighted(squared_error, classes=False, outputs=2)(logits[:, :2], numbers), jnp.ones(50))
    wanted = np.average(((RAW[:, :2] - Y) ** 2).mean(axis=1), weights=w)
    np.testing.assert_allclose(own, wanted, rtol=1e-5)
    np.testing.assert_array_equal(parted(np.asarray(numbers), classes=False, outputs=2)[0], Y)
