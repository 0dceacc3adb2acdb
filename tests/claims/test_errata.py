"""What the notes print against what is right, in numbers: one test for each that numbers can show."""

from math import comb

import numpy as np
import pytest
from scipy import linalg, signal, special, stats

from dlnotes.layers import Window, output_size, receptive_field

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


def test_the_size_of_a_convolution_is_rounded_down():
    m, k, P, S = 28, 3, 1, 2
    padded = np.pad(RNG.normal(size=m), P)
    found = np.correlate(padded, RNG.normal(size=k), "valid")[::S].size
    printed = (m - k + 2 * P) / S + 1
    assert (found, printed) == (14, 14.5)
    assert np.correlate(padded, RNG.normal(size=k), "valid").size == m  # 2P = k − 1: as large as before


def test_the_printed_matrix_of_a_convolution_is_toeplitz_and_not_circulant():
    h, x = RNG.normal(size=4), RNG.normal(size=6)
    n = x.size + h.size - 1
    printed = linalg.toeplitz(np.r_[h, np.zeros(x.size - 1)], np.r_[h[0], np.zeros(x.size - 1)])
    assert printed.shape == (n, x.size)
    np.testing.assert_allclose(printed @ x, np.convolve(h, x))
    periodic = linalg.circulant(np.r_[h, np.zeros(x.size - h.size)]) @ x  # square, of the size of x
    assert np.abs(periodic - np.convolve(h, x)[: x.size]).max() > 0.1
    padded = linalg.circulant(np.r_[h, np.zeros(n - h.size)]) @ np.r_[x, np.zeros(n - x.size)]
    np.testing.assert_allclose(padded, np.convolve(h, x))


def blocks_of(rows):
    """The doubly block circulant matrix with the circulants of these rows as its blocks."""
    n = len(rows)
    return np.block([[linalg.circulant(rows[(i - j) % n]) for j in range(n)] for i in range(n)])


def test_a_doubly_block_circulant_matrix_is_not_circulant():
    A = np.array([[0, 0, 0, 0], [0, -1, 0, 0], [-1, 4, -1, 0], [0, -1, 0, 0.0]])
    X = blocks_of(A[::-1])
    np.testing.assert_array_equal(X[4:8, 4:8], X[:4, :4])  # circulant in its blocks
    assert not np.array_equal(X, linalg.circulant(X[:, 0]))


def test_rows_of_the_image_are_stacked_in_the_order_of_the_blocks():
    """The printed A is the kernel in the lower left of its square: rows are counted from below."""
    kernel, image = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]), RNG.normal(size=(2, 2))
    A, B = (np.pad(a, ((4 - len(a), 0), (0, 4 - len(a)))) for a in (kernel, image))
    want = signal.convolve2d(kernel, image)
    X = blocks_of(A[::-1])
    np.testing.assert_allclose((X @ B[::-1].ravel()).reshape(4, 4)[::-1], want, atol=1e-12)
    from_above = (X @ B.ravel()).reshape(4, 4)
    for result in (from_above, from_above[::-1]):
        assert np.abs(result - want).max() > 0.1


def test_the_receptive_field_of_the_third_output_is_its_neighbors():
    K, n = RNG.normal(size=3), 5
    M = np.stack([np.correlate(e, K, "same") for e in np.eye(n)], axis=1)  # s = M x
    assert list(np.flatnonzero(M[2]) + 1) == [2, 3, 4]


def test_it_is_the_deep_layers_that_see_the_whole_image():
    fields = [receptive_field([Window(3), Window(2, 2)] * depth).size for depth in range(1, 5)]
    assert fields[0] == 4
    assert np.all(np.diff(fields) > 0)
    assert fields[-1] > 28


def test_a_shift_before_or_after_the_convolution_and_not_both():
    image, K = RNG.normal(size=(8, 8)), RNG.normal(size=(3, 3))

    def convolve(a):
        return signal.convolve2d(a, K, "same", boundary="wrap")

    def g(a):
        return np.roll(a, 1, axis=1)

    np.testing.assert_allclose(convolve(g(image)), g(convolve(image)), atol=1e-12)
    assert np.abs(convolve(g(image)) - g(convolve(g(image)))).max() > 0.1  # printed, with I′ = g(I)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pooling_every_k_positions_leaves_one_in_k_along_each_axis(axes):
    k, m = 3, 27
    assert m**axes / output_size(m, Window(k, k)) ** axes == k**axes


def test_an_octave_is_a_shift_only_on_a_logarithmic_axis():
    overtones = 220.0 * np.arange(1, 6)
    linear, logarithmic = (np.diff(f(2 * overtones) - f(overtones)) for f in (np.asarray, np.log2))
    np.testing.assert_allclose(logarithmic, 0, atol=1e-12)
    np.testing.assert_allclose(linear, 220)


def recurrent_states(W, U, b, x, h):
    states = [h]
    for row in x:
        states.append(np.tanh(b + W @ states[-1] + U @ row))
    return states


def test_the_slope_of_tanh_stands_between_the_weights_and_the_gradient():
    """Of a loss that is a function of the last state, by the state before it."""
    W, b, before, after = RNG.normal(size=(4, 4)), RNG.normal(size=4), RNG.normal(size=4), RNG.normal(size=4)

    def loss(h):
        return after @ np.tanh(b + W @ h)

    h = np.tanh(b + W @ before)
    steps = 1e-6 * np.eye(4)
    numeric = np.array([(loss(before + s) - loss(before - s)) / 2e-6 for s in steps])
    np.testing.assert_allclose(W.T @ np.diag(1 - h**2) @ after, numeric, atol=1e-8)
    with pytest.raises(ValueError, match="matmul"):
        (W.T @ after[:, None]) @ np.diag(1 - h**2)  # as printed, with the gradient a column
    by_elements = (W.T @ after) @ np.diag(1 - h**2)
    assert np.abs(by_elements - numeric).max() > 0.1


def test_the_slopes_are_as_many_as_the_hidden_units():
    hidden, tau = 3, 7
    states = recurrent_states(
        RNG.normal(size=(hidden, hidden)), RNG.normal(size=(hidden, 2)), 0, RNG.normal(size=(tau, 2)),
        np.zeros(hidden),
    )  # fmt: skip
    assert np.diag(1 - states[-1] ** 2).shape == (hidden, hidden)


def test_the_gradient_of_the_output_weights_is_a_sum_of_outer_products():
    tau, hidden, outputs = 5, 3, 4
    h, g = RNG.normal(size=(tau, hidden)), RNG.normal(size=(tau, outputs))
    V = RNG.normal(size=(outputs, hidden))

    def loss(V):
        return sum(g[t] @ (V @ h[t]) for t in range(tau))  # its gradient by o_t is g_t

    steps = 1e-6 * np.eye(V.size).reshape(V.size, *V.shape)
    numeric = np.array([(loss(V + s) - loss(V - s)) / 2e-6 for s in steps]).reshape(V.shape)
    columns = [(g[t][:, None], h[t][:, None]) for t in range(tau)]
    np.testing.assert_allclose(sum(o @ s.T for o, s in columns), numeric, atol=1e-8)
    with pytest.raises(ValueError, match="matmul"):
        sum(o.T @ s.T for o, s in columns)


def test_the_linear_recurrence_gives_the_power_and_not_its_transpose():
    W, h0 = RNG.normal(size=(4, 4)), RNG.normal(size=4)

    def state(W, t):
        h = h0
        for _ in range(t):
            h = W @ h
        return h

    power = np.linalg.matrix_power(W, 5)
    np.testing.assert_allclose(state(W, 5), power @ h0)
    assert np.abs(state(W, 5) - power.T @ h0).max() > 0.1
    S = (W + W.T) / 2
    values, Q_T = np.linalg.eigh(S)
    np.testing.assert_allclose(state(S, 5), Q_T @ np.diag(values**5) @ Q_T.T @ h0)


def test_what_stays_is_along_the_largest_eigenvector():
    Q = linalg.qr(RNG.normal(size=(4, 4)))[0]
    W = Q.T @ np.diag([0.9, -0.7, 0.5, 0.2]) @ Q
    h = np.linalg.matrix_power(W, 60) @ RNG.normal(size=4)
    shares = np.abs(Q @ h) / np.linalg.norm(h)
    assert shares[0] == pytest.approx(1)
    assert shares[1:].max() < 1e-5  # eigenvectors too, and yet discarded


def test_a_product_of_weights_has_its_variance_but_is_nearly_always_tiny():
    n, v = 5, 0.9
    products = np.prod(np.sqrt(v) * RNG.uniform(-(3**0.5), 3**0.5, size=(200_000, n)), axis=1)
    assert products.var() == pytest.approx(v**n, rel=0.03)
    chains = np.log(np.abs(RNG.normal(size=(5000, 100)))).sum(axis=1)  # v = 1: the variance stays 1
    assert np.median(chains) < -60
    assert np.mean(chains > np.log(0.1)) < 0.001
    wide = RNG.normal(size=200)
    for _ in range(100):
        wide = RNG.normal(size=(200, 200)) @ wide / 200**0.5
    assert 0.05 < wide.var() < 20
