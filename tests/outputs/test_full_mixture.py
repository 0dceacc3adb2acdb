"""Mixtures of full covariances, one precision for all outputs, and the likelihood frame by frame."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import stats

from dlnotes import outputs


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def test_the_unit_fills_its_factors():
    n, d, floor = 2, 3, 0.1
    assert outputs.full_mixture_size(n, d) == 2 * (1 + 6 + 3)
    (raw,) = draw(0, (5, 20))
    got = outputs.full_mixture(raw, n, d, floor=floor)
    values = np.asarray(raw, np.float64)
    np.testing.assert_allclose(got.logits, values[:, :2], rtol=1e-6)
    np.testing.assert_allclose(got.location, values[:, 2:8].reshape(5, 2, 3), rtol=1e-6)
    U = np.zeros((5, 2, 3, 3))
    U[..., np.arange(3), np.arange(3)] = 1 / (np.log1p(np.exp(values[:, 8:14])) + floor).reshape(5, 2, 3)
    U[..., [1, 2, 2], [0, 0, 1]] = values[:, 14:].reshape(5, 2, 3)
    np.testing.assert_allclose(got.factor, U, rtol=1e-5)


def test_zeros_below_the_diagonal_are_the_diagonal_mixture():
    raw, y = draw(1, (4, 15), (4, 2))
    full = jnp.concatenate([raw, jnp.zeros((4, 3))], axis=1)
    want = outputs.mixture_nll(raw, y, components=3, floor=0.05)
    got = outputs.full_mixture_nll(full, y, components=3, floor=0.05)
    np.testing.assert_allclose(got.total, want.total, rtol=1e-4)


def test_one_component_is_a_full_gaussian():
    raw, y = draw(2, (4, outputs.full_mixture_size(1, 3)), (4, 3))
    found = outputs.full_mixture(raw, 1, 3)
    for i in range(4):
        one = stats.multivariate_normal(found.mean[i], np.asarray(found.covariance[i], np.float64))
        np.testing.assert_allclose(found.log_prob(y)[i], one.logpdf(y[i]), rtol=1e-3)
    check_grads(
        jax.jit(lambda raw: outputs.full_mixture_nll(raw, y, components=1).total), (raw,), 1, modes=["rev"],
        rtol=2e-2, atol=2e-2,
    )  # fmt: skip


def test_samples_of_a_full_mixture_follow_it():
    found = outputs.full_mixture(draw(3, (outputs.full_mixture_size(2, 2),))[0], 2, 2, floor=0.3)
    draws = np.asarray(jax.vmap(found.sample)(jax.random.split(jax.random.key(0), 20_000)))
    np.testing.assert_allclose(draws.mean(0), found.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T), found.covariance, rtol=0.06, atol=0.04)


def test_shared_precision_against_scipy():
    raw, y = draw(4, (5, 4), (5, 3))
    beta = np.log1p(np.exp(np.asarray(raw[:, -1:], np.float64)))
    want = -stats.norm.logpdf(y, raw[:, :3], beta**-0.5).sum(1)
    np.testing.assert_allclose(outputs.shared_precision_nll(raw, y).total, want, rtol=1e-4)
    floored = outputs.shared_precision(raw, floor=0.5)
    np.testing.assert_allclose(floored.variance, np.broadcast_to(1 / beta + 0.25, (5, 3)), rtol=1e-4)


def test_frames_without_a_target_do_not_count():
    """Against every frame by itself, in value and gradient."""
    raw, y = draw(5, (3, 4, 10), (3, 4, 2))
    y = y.at[0, 2:].set(jnp.nan).at[2, 0, 1].set(jnp.nan)
    of = partial(outputs.mixture, components=2, outputs=2)
    real = ~np.isnan(np.asarray(y)).any(-1)

    def by_frame(raw):
        return sum(-of(raw[i, t]).log_prob(y[i, t]) for i in range(3) for t in range(4) if real[i, t])

    def at_once(raw):
        return outputs.frames_nll(of, raw, y).total.sum()

    found = outputs.frames_nll(of, raw, y)
    np.testing.assert_array_equal(found.count, real.sum(1))
    np.testing.assert_allclose(found.total.sum(), by_frame(raw), rtol=1e-5)
    slope = jax.grad(at_once)(raw)
    np.testing.assert_allclose(slope, jax.grad(by_frame)(raw), rtol=1e-4, atol=1e-5)
    assert np.abs(slope[0, 2:]).max() == 0


def test_lists_are_arrays():
    numbers = [0.3, -1.0, 0.2, 0.1, 0.4]
    np.testing.assert_allclose(
        outputs.Mixture([0.1, 0.2], [[0.0], [1.0]], [[1.0], [2.0]]).log_prob([0.5]),
        outputs.Mixture(jnp.array([0.1, 0.2]), jnp.array([[0.0], [1.0]]), jnp.array([[1.0], [2.0]])).log_prob(
            jnp.array([0.5])
        ),
    )
    assert outputs.full_mixture([numbers + [0.5]], 1, 2).mean.shape == (1, 2)
    assert outputs.shared_precision([1, 2, 0]).location.dtype == jnp.float32
    assert float(outputs.Normal(0, 1).log_prob(1)) == pytest.approx(stats.norm.logpdf(1), rel=1e-5)


def test_what_is_not_allowed_is_named():
    raw, y = np.zeros((2, 3, 5), np.float32), np.zeros((2, 3, 2), np.float32)
    of = partial(outputs.mixture, components=1, outputs=2)
    wrong = {
        "raw, y: got": lambda: outputs.frames_nll(of, raw, y[:, :2]),
        "raw: gives a distribution": lambda: outputs.frames_nll(of, raw, y[..., :1]),
        "raw: got shape": lambda: outputs.full_mixture(raw, 1, 2),
        "components: got 0": lambda: outputs.full_mixture(raw, 0, 2),
        "floor: got -1": lambda: outputs.shared_precision(raw, floor=-1),
        "outputs \\+ 1": lambda: outputs.shared_precision(np.zeros(1)),
    }
    for told, call in wrong.items():
        with pytest.raises(ValueError, match=told):
            call()
