"""The construction with 2n + d weights, against the values that it must have."""

from fractions import Fraction

import numpy as np
import pytest

from dlnotes import models
from dlnotes.analysis import exact_fit, rational_fit
from dlnotes.layers import Dense


def points(n=40, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return np.unique(rng.integers(0, 256, size=(n, d)), axis=0), rng


def test_any_values_without_any_error():
    x, rng = points()
    y = rng.integers(-50, 50, size=len(x))
    fit = rational_fit(x, y, seed=3)
    assert fit(x) == [Fraction(int(v)) for v in y]
    assert fit.weights == 2 * len(x) + x.shape[1]


def test_the_sums_are_those_of_the_units():
    """Each unit by itself, in fractions, at points between and outside those that were fitted."""
    x, rng = points(12, 3)
    fit = rational_fit(x, rng.integers(10, size=len(x)))
    other = rng.integers(-300, 600, size=(20, 3))
    for z, got in zip(other @ fit.a, fit(other)):
        assert got == sum(w * max(0, int(z) - b) for w, b in zip(fit.w, fit.b))


def test_in_floating_point_it_is_the_solution_of_the_triangular_system():
    x, rng = points(30, 4)
    y = rng.normal(size=len(x))
    fit = exact_fit(x, y)
    np.testing.assert_allclose(fit(x), y, atol=1e-8)
    z = np.sort(x @ fit.a)
    A = np.maximum(z[:, None] - fit.b, 0)
    assert np.all(np.diag(A) > 0)
    assert np.all(np.triu(A, 1) == 0)
    np.testing.assert_allclose(fit.w, np.linalg.solve(A, y[np.argsort(x @ fit.a)]), rtol=1e-5, atol=1e-6)


def test_it_is_a_network_of_the_library():
    x, rng = points(10, 3)
    y = rng.integers(3, size=len(x))
    fit = exact_fit(x / 255, y)
    n, d = len(x), 3
    hidden = Dense(np.tile(fit.a[:, None], n).astype(np.float32), -fit.b.astype(np.float32))
    output = Dense(fit.w[:, None].astype(np.float32), np.zeros(1, np.float32))
    got = models.mlp(d, (n,), 1).apply(models.MLP((hidden,), (None,), output), (x / 255).astype(np.float32))
    np.testing.assert_allclose(np.asarray(got)[:, 0], y, atol=0.05)


def test_wrong_arguments():
    x = np.array([[0, 1], [0, 1]])
    with pytest.raises(ValueError, match="two points that are the same"):
        rational_fit(x, [0, 1])
    with pytest.raises(ValueError, match="x: got dtype float64, needed are whole numbers"):
        rational_fit(x / 2, [0, 1])
    with pytest.raises(ValueError, match=r"got shapes \(2, 2\) and \(3,\)"):
        exact_fit(x, np.zeros(3))
