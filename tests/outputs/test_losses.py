"""Losses against optax and scipy; the one rule that reduces them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy import special, stats
from sklearn import metrics

from dlnotes import outputs
from dlnotes.outputs import LOSSES, METRICS, PerExample, mean_of, target_count
from dlnotes.typing import IGNORE


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def classes(rng):
    """Logits (5, 7, 4) and targets with some positions without one."""
    z = jnp.asarray(rng.normal(size=(5, 7, 4)).astype(np.float32) * 2)
    y = rng.integers(0, 4, (5, 7)).astype(np.int32)
    y[rng.random((5, 7)) < 0.3] = IGNORE
    return z, jnp.asarray(y)


def test_cross_entropy_is_optax_summed_over_real_positions(classes):
    z, y = classes
    real = np.asarray(y) >= 0
    each = optax.softmax_cross_entropy_with_integer_labels(z, jnp.maximum(y, 0))
    got = outputs.cross_entropy(z, y)
    np.testing.assert_allclose(got.total, np.where(real, each, 0).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(got.count, real.sum(1))


@pytest.mark.parametrize("traced", [False, True])
def test_label_smoothing_is_cross_entropy_with_optax_smooth_labels(classes, traced):
    z, y = classes
    labels = optax.smooth_labels(jax.nn.one_hot(jnp.maximum(y, 0), 4), 0.15)
    each = np.where(np.asarray(y) >= 0, optax.softmax_cross_entropy(z, labels), 0).sum(1)
    loss = lambda e: outputs.cross_entropy(z, y, label_smoothing=e).total  # noqa: E731
    np.testing.assert_allclose(jax.jit(loss)(0.15) if traced else loss(0.15), each, rtol=1e-5)


def test_traced_smoothing_of_zero_is_no_smoothing(classes):
    z, y = classes
    smooth = jax.jit(lambda e: outputs.cross_entropy(z, y, label_smoothing=e).total)(0.0)
    np.testing.assert_allclose(smooth, outputs.cross_entropy(z, y).total, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_cross_entropy_of_extreme_logits_is_finite_with_finite_gradient(dtype, smoothing):
    z = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1.0]], dtype)
    y = jnp.array([1, IGNORE])

    def total(z):
        return outputs.cross_entropy(z, y, label_smoothing=smoothing).total.sum()

    value, gradient = jax.value_and_grad(total)(z)
    assert np.isfinite(float(value))
    assert np.isfinite(np.asarray(gradient, np.float32)).all()
    assert not np.asarray(gradient, np.float32)[1].any()  # no target, no gradient


def test_binary_cross_entropy_is_optax(rng):
    z = jnp.asarray(rng.normal(size=(6, 1)).astype(np.float32))
    y = jnp.asarray(rng.integers(0, 2, 6))
    got = outputs.binary_cross_entropy(z, y)
    expected = optax.sigmoid_binary_cross_entropy(z[:, 0], y.astype(jnp.float32))
    np.testing.assert_allclose(got.total, expected, rtol=1e-5)
    without = outputs.binary_cross_entropy(z, y.at[2].set(-1))
    assert float(without.total[2]) == 0
    assert float(without.count[2]) == 0


def test_regression_losses_against_numpy_and_scipy(rng):
    prediction, y = (rng.normal(size=(5, 3)).astype(np.float32) for _ in range(2))
    a, b = jnp.asarray(prediction), jnp.asarray(y)
    np.testing.assert_allclose(outputs.squared_error(a, b).total, ((prediction - y) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(outputs.absolute_error(a, b).total, abs(prediction - y).mean(1), rtol=1e-5)
    nll = -stats.norm.logpdf(y, prediction).sum(1)
    np.testing.assert_allclose(outputs.gaussian_nll(a, b).total, nll, rtol=1e-5)
    for name in ("squared_error", "absolute_error", "gaussian_nll"):
        np.testing.assert_array_equal(LOSSES[name](a, b).count, np.ones(5))


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.93])
def test_pinball_is_sklearns(rng, quantile):
    prediction, y = (rng.normal(size=(7, 2)).astype(np.float32) for _ in range(2))
    got = outputs.pinball(jnp.asarray(prediction), jnp.asarray(y), quantile=quantile)
    np.testing.assert_allclose(jnp.mean(got.total), metrics.mean_pinball_loss(y, prediction, alpha=quantile),
                               rtol=1e-5)  # fmt: skip
    traced = jax.jit(lambda q: outputs.pinball(jnp.asarray(prediction), jnp.asarray(y), quantile=q).total)
    np.testing.assert_allclose(traced(quantile), got.total, rtol=1e-6)
    half = outputs.pinball(jnp.asarray(prediction), jnp.asarray(y), quantile=0.5).total
    np.testing.assert_allclose(2 * half, abs(prediction - y).mean(1), rtol=1e-5)


def test_pinball_names_a_bad_quantile():
    with pytest.raises(ValueError, match="quantile: got 1, allowed is 0 < quantile < 1"):
        outputs.pinball(jnp.zeros((1, 1)), jnp.zeros((1, 1)), quantile=1)


def test_hinge_is_sklearns_binary_and_crammer_singer(rng):
    z, y = rng.normal(size=40).astype(np.float32) * 2, rng.integers(0, 2, 40)
    for scores in (z, z[:, None]):
        got = outputs.hinge(jnp.asarray(scores), jnp.asarray(y)).total
        np.testing.assert_allclose(jnp.mean(got), metrics.hinge_loss(y, z), rtol=1e-5)
    two = outputs.hinge(jnp.asarray(np.stack([0 * z, z], axis=1)), jnp.asarray(y)).total
    np.testing.assert_allclose(two, got, rtol=1e-6)
    z, y = rng.normal(size=(40, 5)).astype(np.float32) * 2, rng.integers(0, 5, 40)
    got = outputs.hinge(jnp.asarray(z), jnp.asarray(y)).total
    np.testing.assert_allclose(jnp.mean(got), metrics.hinge_loss(y, z, labels=range(5)), rtol=1e-5)


def test_brier_is_sklearns_of_two_and_of_many_classes(rng):
    z, y = rng.normal(size=40).astype(np.float32), rng.integers(0, 2, 40)
    got = outputs.brier(jnp.asarray(z), jnp.asarray(y)).total
    np.testing.assert_allclose(jnp.mean(got), metrics.brier_score_loss(y, special.expit(z)), rtol=1e-5)
    z, y = rng.normal(size=(40, 5)).astype(np.float32), rng.integers(0, 5, 40)
    got = outputs.brier(jnp.asarray(z), jnp.asarray(y)).total
    p = special.softmax(z.astype(np.float64), axis=1)
    np.testing.assert_allclose(jnp.mean(got), metrics.brier_score_loss(y, p, labels=range(5)), rtol=1e-5)


@pytest.mark.parametrize("loss", [outputs.hinge, outputs.brier])
def test_losses_of_classes_skip_positions_without_a_target(loss, classes):
    z, y = classes
    got = loss(z, y)
    each = loss(z.reshape(-1, 4), jnp.maximum(y, 0).reshape(-1)).total.reshape(y.shape)
    np.testing.assert_allclose(got.total, np.where(np.asarray(y) >= 0, each, 0).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(got.count, target_count(y))
    gradient = jax.grad(lambda z: loss(z, y).total.sum())(z)
    assert np.isfinite(gradient).all()
    assert not np.asarray(gradient)[np.asarray(y) < 0].any()


@pytest.mark.parametrize("loss", [outputs.hinge, outputs.brier, outputs.clipped_linear_nll])
def test_gradients_of_losses_of_classes_are_finite_differences(loss, rng):
    z = jnp.asarray(rng.uniform(0.1, 0.9, 6).astype(np.float32))
    y = jnp.asarray(rng.integers(0, 2, 6))
    check_grads(jax.jit(lambda z: loss(z, y).total), (z,), order=1, modes=["rev"], rtol=2e-2, eps=1e-3)


def test_clipped_linear_is_bernoulli_inside_and_flat_outside(rng):
    z, y = rng.uniform(0.01, 0.99, 20).astype(np.float32), rng.integers(0, 2, 20)
    got = outputs.clipped_linear_nll(jnp.asarray(z)[:, None], jnp.asarray(y)).total
    np.testing.assert_allclose(got, -stats.bernoulli.logpmf(y, z.astype(np.float64)), rtol=1e-4)
    outside = jnp.asarray(np.concatenate([-rng.exponential(5, 20), 1 + rng.exponential(5, 20)]), jnp.float32)
    y = jnp.asarray(rng.integers(0, 2, 40))
    value, slope = jax.value_and_grad(lambda z: outputs.clipped_linear_nll(z, y).total.sum())(outside)
    assert np.isfinite(value)
    np.testing.assert_array_equal(slope, np.zeros(40))


def test_accuracy_and_exact_match_by_hand():
    z = jax.nn.one_hot(jnp.array([[0, 1, 2], [2, 2, 2], [1, 1, 0]]), 3)
    y = jnp.array([[0, 1, 2], [2, -1, -1], [1, 2, -1]])
    accuracy = METRICS["accuracy"](z, y)
    np.testing.assert_array_equal(accuracy.total, [3, 1, 1])
    np.testing.assert_array_equal(accuracy.count, [3, 1, 2])
    match = METRICS["exact_match"](z, y)
    np.testing.assert_array_equal(match.total, [1, 1, 0])
    np.testing.assert_array_equal(match.count, [1, 1, 1])


def test_target_counts():
    np.testing.assert_array_equal(target_count(jnp.array([1, -1, 0])), [1, 0, 1])
    np.testing.assert_array_equal(target_count(jnp.array([[1, -1], [2, 3]])), [1, 2])
    np.testing.assert_array_equal(target_count(jnp.zeros((2, 5))), [1, 1])


@pytest.mark.parametrize("name", [*LOSSES])
def test_padding_rows_do_not_change_the_mean(name, rng):
    if name in ("cross_entropy", "hinge", "brier"):
        out, y = rng.normal(size=(6, 3)), rng.integers(0, 3, 6).astype(np.int32)
    else:
        out, y = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)).astype(np.float32)
    out = out.astype(np.float32)
    plain = mean_of(LOSSES[name](jnp.asarray(out), jnp.asarray(y)), jnp.ones(6))
    garbage = np.concatenate([out, out[:3] * 100 + 7])
    padded = LOSSES[name](jnp.asarray(garbage), jnp.asarray(np.concatenate([y, y[:3]])))
    weight = jnp.concatenate([jnp.ones(6), jnp.zeros(3)])
    np.testing.assert_allclose(mean_of(padded, weight), plain, rtol=1e-6)


def test_mean_of_nothing_is_zero():
    nothing = PerExample(jnp.array([3.0]), jnp.array([1.0]))
    assert float(mean_of(nothing, jnp.zeros(1))) == 0
