"""The gradients by hand, the density from Σ against scipy, the data of the heads."""

import numpy as np
import pytest
from experiment_module import experiment
from scipy.stats import multivariate_normal

variance = experiment("feedforward/learned_variance")


def test_slopes_against_derivatives_by_hand():
    found, t = variance.slopes(), variance.SMALL.astype(np.float64)
    # dJ/dθ of ½ (log v + 1/v) with v = σ², v, 1/β.
    by_hand = np.abs([1 / t - t**-3, 0.5 * (1 / t - t**-2), 0.5 * (1 - 1 / t)])
    away = np.abs(t - 1) > 0.05
    np.testing.assert_allclose(found["slopes"][0][:, away], by_hand[:, away], rtol=1e-4)
    # Through ζ: times dζ/da = 1 − exp(−θ).
    np.testing.assert_allclose(found["slopes"][1][:, away], (by_hand * -np.expm1(-t))[:, away], rtol=1e-3)
    v = 0.01 + t * t
    np.testing.assert_allclose(found["slope_of_square"], 2 * t, rtol=1e-6)
    np.testing.assert_allclose(found["slopes_floored"], np.abs(t / v * (1 - 1 / v)), rtol=1e-3, atol=1e-4)


def test_density_from_covariance():
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((4, 8)), rng.standard_normal(4)
    expected = multivariate_normal(np.zeros(4), A @ A.T).logpdf(y)
    got = variance.cost.__globals__["from_covariance"]((A @ A.T).astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("task", variance.TASKS)
def test_tasks_share_a_shape(task):
    heads = experiment("feedforward/learned_variance").compare_heads.__globals__
    for part, n in zip(heads["table_of"](task, 0), heads["SIZES"]):
        assert part.x.shape == (n, heads["FEATURES"])
        assert part.y.shape == (n, 1)
        assert part.x.dtype == part.y.dtype == np.float32
