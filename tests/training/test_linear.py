"""Linear models by descent and by solvers, against scikit-learn and numpy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from dlnotes import training


def table(seed, n=400, inputs=5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, inputs)).astype(np.float32)
    score = x @ rng.normal(size=inputs) + rng.normal(size=n)
    return x, score.astype(np.float32), np.sign(score).astype(np.float32)


def test_descent_by_hand():
    """Three steps of two rows, the third from the first rows again, written out in numpy."""
    x, y, signs = table(0, n=5)
    for loss, target in (("squared", y), ("hinge", signs)):
        w, average = np.zeros(5), np.zeros(5)
        for t in range(3):
            rows = slice(2 * (t % 2), 2 * (t % 2) + 2)
            s = x[rows] @ w
            slope = 2 * (s - target[rows]) if loss == "squared" else -target[rows] * (target[rows] * s < 1)
            w = w - 0.1 * (slope @ x[rows] / 2 + 0.03 * w)
            average += 9 / (t + 9) * (w - average)
        got = training.linear_descent(
            training.start_descent(5), x, target, steps=2, rate=0.1, batch_size=2, loss=loss, penalty=0.03
        )
        got = training.linear_descent(
            got, x, target, steps=1, rate=0.1, batch_size=2, loss=loss, penalty=0.03
        )
        np.testing.assert_allclose(got.w, w, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(got.average, average, rtol=2e-5, atol=1e-6)
        assert int(got.step) == 3


def test_slopes_are_those_of_the_objective():
    x, y, signs = table(1)
    w = jnp.asarray(np.random.default_rng(2).normal(size=5), jnp.float32)
    for loss, target in (("squared", y), ("hinge", signs)):
        gradient = jax.grad(training.linear_objective)(w, x, target, loss=loss, penalty=0.2)
        state = training.Descent(w, w, jnp.zeros((), jnp.int32))
        moved = training.linear_descent(
            state, x, target, steps=1, rate=1.0, batch_size=400, loss=loss, penalty=0.2
        )
        np.testing.assert_allclose(w - moved.w, gradient, rtol=1e-4, atol=1e-5)


def test_descent_comes_to_scikit_learns_optimum():
    x, y, signs = table(3, n=4000)
    best = LinearRegression(fit_intercept=False).fit(x, y).coef_
    start = training.start_descent(5)
    got = training.linear_descent(start, x, y, steps=4000, rate=0.01).average
    np.testing.assert_allclose(got, best, atol=5e-3)
    penalty = 0.01
    options = {"loss": "hinge", "penalty": penalty}
    machine = LinearSVC(loss="hinge", C=1 / (penalty * 4000), fit_intercept=False, max_iter=10**6, tol=1e-6)
    optimum = training.linear_objective(
        machine.fit(x, signs).coef_[0].astype(np.float32), x, signs, **options
    )
    got = training.linear_descent(start, x, signs, steps=4000, rate=0.03, **options).average
    reached = training.linear_objective(got, x, signs, **options)
    assert optimum <= reached * 1.0001
    assert reached < 1.005 * optimum


def test_solvers_on_a_well_conditioned_table():
    x, y, _ = table(4)
    want = np.linalg.lstsq(x.astype(np.float64), y.astype(np.float64))[0]
    np.testing.assert_allclose(training.normal_equations(x, y), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(training.qr_least_squares(x, y), want, rtol=1e-4, atol=1e-5)


def test_normal_equations_square_the_condition_number():
    """In float32, at a condition number of 10⁴: QR keeps digits that the normal equations lose."""
    rng = np.random.default_rng(5)
    left, _ = np.linalg.qr(rng.normal(size=(200, 10)))
    right, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    x = ((left * np.geomspace(1, 1e-4, 10)) @ right.T).astype(np.float32)
    w = rng.normal(size=10)
    y = (x.astype(np.float64) @ w).astype(np.float32)
    want = np.linalg.lstsq(x.astype(np.float64), y.astype(np.float64))[0]
    errors = [
        np.linalg.norm(solve(x, y) - want) / np.linalg.norm(want)
        for solve in (training.normal_equations, training.qr_least_squares)
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.01


def test_what_is_not_allowed_is_named():
    x, y, _ = table(6)
    start = training.start_descent(5)
    wrong = {
        "x, y: got": lambda: training.normal_equations(x, y[:3]),
        "x: got shape": lambda: training.qr_least_squares(x[:3], y[:3]),
        "w: got": lambda: training.linear_objective(np.ones(4), x, y),
        "loss: got 'huber'": lambda: training.linear_objective(np.ones(5), x, y, loss="huber"),
        "batch_size: got 500": lambda: training.linear_descent(
            start, x, y, steps=1, rate=0.1, batch_size=500
        ),
        "steps: got 0": lambda: training.linear_descent(start, x, y, steps=0, rate=0.1),
        "inputs: got 0": lambda: training.start_descent(0),
    }
    for told, call in wrong.items():
        with pytest.raises(ValueError, match=told):
            call()
