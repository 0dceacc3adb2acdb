"""What the notes print against what is right, in numbers: one test for each that numbers can show."""

from math import comb

import numpy as np
import pytest
from scipy import special, stats

RNG = np.random.default_rng(0)


def test_linear_functions_compose_to_a_linear_one():
    """«composición de varias funciones lineales simples», «una función lineal no fija»."""
    W, U = RNG.normal(size=(3, 5)), RNG.normal(size=(5, 4))
    c, b = RNG.normal(size=5), RNG.normal(size=4)
    x = RNG.normal(size=(20, 3))
    np.testing.assert_allclose((x @ W + c) @ U + b, x @ (W @ U) + (c @ U + b), atol=1e-12)


def test_xor_needs_one_bias_per_unit_and_not_per_example():
    """The c that is printed as a 4 × 2 matrix is a vector of two."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    W, c, w = np.ones((2, 2)), np.array([0, -1]), np.array([1, -2])
    printed = np.array([[0, -1]] * 4)
    np.testing.assert_array_equal(np.outer(np.ones(4), c), printed)
    np.testing.assert_array_equal(np.maximum(x @ W + printed, 0) @ w, [0, 1, 1, 0])
    one = [w @ np.maximum(W.T @ example + c, 0) for example in x]
    np.testing.assert_array_equal(one, [0, 1, 1, 0])


@pytest.mark.parametrize("d", [1, 3])
def test_constants_of_the_gaussian_likelihood_count_the_elements_of_y(d):
    m, sigma = 7, 0.6
    y, mean = RNG.normal(size=(m, d)), RNG.normal(size=(m, d))
    log_p = stats.norm.logpdf(y, mean, sigma).sum()
    squares = ((y - mean) ** 2).sum() / (2 * sigma**2)
    right = -m * d * np.log(sigma) - m * d / 2 * np.log(2 * np.pi) - squares
    printed = -m * np.log(sigma) - m / 2 * np.log(2 * np.pi) - squares
    assert log_p == pytest.approx(right)
    assert (log_p == pytest.approx(printed)) == (d == 1)


def test_the_training_cost_is_half_the_mse_without_a_limit():
    m = 5
    y, mean = RNG.normal(size=m), RNG.normal(size=m)
    cost = -stats.norm.logpdf(y, mean, 1.0).mean()
    assert cost - 0.5 * ((y - mean) ** 2).mean() == pytest.approx(0.5 * np.log(2 * np.pi))


def test_the_second_term_of_the_softmax_is_never_less_than_the_first():
    z = 5 * RNG.normal(size=(1000, 6))
    assert np.all(special.logsumexp(z, axis=1) >= z.max(axis=1))


def test_softmax_ignores_a_scalar_but_no_other_vector():
    z, c = RNG.normal(size=6), RNG.normal(size=6)
    np.testing.assert_allclose(special.softmax(z + 3.7), special.softmax(z))
    assert np.abs(special.softmax(z + c) - special.softmax(z)).max() > 0.01


def test_the_gradient_in_sigma_grows_where_sigma_is_small():
    r = 0.8

    def cost(sigma):
        return -stats.norm.logpdf(r, 0.0, sigma)

    small = np.array([1e-1, 1e-2, 1e-3])
    slopes = np.array([(cost(s * (1 + 1e-6)) - cost(s * (1 - 1e-6))) / (2e-6 * s) for s in small])
    np.testing.assert_allclose(slopes, 1 / small - r**2 / small**3, rtol=1e-4)
    assert np.all(np.diff(np.abs(slopes)) > 0)  # printed: it vanishes
    in_variance = slopes / (2 * small)  # by the chain rule, v = σ²
    np.testing.assert_allclose(in_variance, 1 / (2 * small**2) - r**2 / (2 * small**4), rtol=1e-4)
    assert np.all(np.abs(in_variance) > np.abs(slopes))


def test_b_times_its_transpose_may_be_singular():
    B = np.outer(RNG.normal(size=3), RNG.normal(size=3))  # an unrestricted matrix, of rank one
    assert np.linalg.eigvalsh(B @ B.T).min() == pytest.approx(0, abs=1e-12)
    L = np.tril(RNG.normal(size=(3, 3)), -1) + np.diag(RNG.uniform(0.2, 2.0, 3))
    assert np.linalg.eigvalsh(L @ L.T).min() > 0


@pytest.mark.parametrize(("s", "active"), [(np.sqrt(2), 0.528), (1.0, 0.540), (0.06, 0.952)])
def test_a_bias_of_a_tenth_wakes_most_units_only_with_very_small_weights(s, active):
    share = np.mean(s * RNG.normal(size=200_000) + 0.1 > 0)
    assert share == pytest.approx(active, abs=0.005)


@pytest.mark.parametrize(("alpha", "convex"), [(-1.0, True), (0.01, True), (1.0, True), (1.5, False)])
def test_two_pieces_of_maxout_hold_a_parametric_relu_up_to_slope_one(alpha, convex):
    z = np.linspace(-3, 3, 61)
    prelu = np.maximum(0, z) + alpha * np.minimum(0, z)
    assert np.allclose(prelu, np.maximum(z, alpha * z)) == convex
    middle = (prelu[:-2] + prelu[2:]) / 2 - prelu[1:-1]
    assert bool(np.all(middle >= -1e-12)) == convex


def test_the_sigmoid_is_nowhere_steeper_than_a_quarter():
    z = np.linspace(-20, 20, 40_001)
    slope = np.diff(special.expit(z)) / np.diff(z)
    assert slope.max() == pytest.approx(0.25, abs=1e-6)
    assert abs(z[slope.argmax()]) < 0.01


def test_the_binomial_bound_on_regions_is_more_than_there_can_be():
    d, n, l = 2, 4, 3
    right = (n / d) ** (d * (l - 1)) * n**d
    printed = comb(n, d) ** (d * (l - 1)) * n**d
    # n lines cut a plane, or any convex part of one, into no more than this many pieces; l times over.
    possible = sum(comb(n, j) for j in range(d + 1)) ** l
    assert (right, printed, possible) == (256, 20_736, 1331)
    assert right <= possible < printed


def test_gradients_of_both_ways_to_write_a_layer():
    W, h, g = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=3)

    def numeric(f, x):
        steps = 1e-6 * np.eye(x.size).reshape(x.size, *x.shape)
        return np.array([(f(x + s) - f(x - s)) / 2e-6 for s in steps]).reshape(x.shape)

    def by_rows(W, h):
        return g @ (W @ h)

    def by_columns(V, h):
        return g @ (V.T @ h)

    V = W.T.copy()
    np.testing.assert_allclose(numeric(lambda W: by_rows(W, h), W), np.outer(g, h), atol=1e-8)
    np.testing.assert_allclose(numeric(lambda h: by_rows(W, h), h), W.T @ g, atol=1e-8)
    np.testing.assert_allclose(numeric(lambda V: by_columns(V, h), V), np.outer(h, g), atol=1e-8)
    np.testing.assert_allclose(numeric(lambda h: by_columns(V, h), h), V @ g, atol=1e-8)
