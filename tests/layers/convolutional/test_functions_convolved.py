"""The sum against the integral, noise in a weighted mean, a flipped kernel learned, derivatives forward."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dlnotes import layers
from dlnotes.layers import averaged_variance, convolve, convolve_functions


def gauss(deviation):
    return lambda t: jnp.exp(-((t / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))


def decay(t):
    return jnp.where(t > 0, jnp.exp(-t), jnp.where(t == 0, 0.5, 0.0))


def test_two_gaussians_make_one():
    times = np.array([-1.0, 0.0, 1.0, 2.0])
    got = convolve_functions(gauss(0.6), gauss(0.8), times, step=0.1, reach=5.0)
    np.testing.assert_allclose(got, gauss(1.0)(times), atol=1e-6)


def test_the_sum_approaches_the_integral_as_the_step_falls():
    """``∫₀ᵗ e^{−a} sin(t − a) da = (sin t − cos t + e^{−t}) / 2``, with half a sample at the jump: step²."""
    t = np.array([1.0, 2.0, 4.0])
    want = (np.sin(t) - np.cos(t) + np.exp(-t)) / 2
    steps = (0.2, 0.1, 0.05)
    errors = []
    for step in steps:
        s = convolve_functions(lambda a: jnp.where(a >= 0, jnp.sin(a), 0.0), decay, t, step=step, reach=5.0)
        errors.append(np.abs(s - want).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.1)


def test_the_two_functions_commute_and_a_jump_is_met_in_first_order():
    box = lambda t: jnp.where((t > -0.49) & (t < 1.01), 1.0, 0.0)  # noqa: E731
    times = np.array([-0.5, 0.0, 0.5, 1.0])
    one = convolve_functions(box, gauss(0.3), times, step=0.05, reach=4.0)
    two = convolve_functions(gauss(0.3), box, times, step=0.05, reach=4.0)
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(times=[0.0], step=0.0, reach=1.0), "step: got 0.0"),
        (dict(times=[0.0], step=0.3, reach=1.0), "reach: got 1.0, allowed are positive multiples"),
        (dict(times=[0.0, 0.25], step=0.1, reach=1.0), "times: got"),
        (dict(times=0.0, step=0.1, reach=1.0), "times: got shape"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        convolve_functions(jnp.sin, jnp.cos, **options)


def test_noise_in_a_weighted_mean_by_enumeration():
    """Measurements of −1 or 1 (variance 1): the variance over all sign patterns, in fractions."""
    w = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 8)]
    signs = np.array(np.meshgrid(*[(-1, 1)] * 4)).reshape(4, -1).T
    sums = [sum(int(s) * f for s, f in zip(row, w)) for row in signs]
    exact = sum(s * s for s in sums) / len(sums)
    assert float(averaged_variance(jnp.array([float(f) for f in w]))) == float(exact)
    assert float(averaged_variance(jnp.full(8, 1 / 8), 3.0)) == 3 / 8


def test_noise_after_a_convolution_is_what_the_weights_leave(key):
    w = jnp.array([0.1, 0.2, 0.4, 0.2, 0.1])
    noise = 2.0 * jax.random.normal(key, (1, 200_000, 1))
    left = convolve(noise, w[:, None, None], padding="VALID", flip=True)
    np.testing.assert_allclose(left.var(), averaged_variance(w, 4.0), rtol=0.02)


@pytest.mark.parametrize("sizes", [(9,), (6, 5)])
def test_the_flipped_convention_learns_the_mirrored_kernel(sizes, key):
    """Two layers trained by both conventions from mirrored starts: bit for bit, after every step."""
    n = len(sizes)
    x, y = jax.random.normal(key, (2, 4, *sizes, 2))
    axes = tuple(range(n))
    start = [layers.init_convolution(k, (3,) * n, 2, 2) for k in jax.random.split(key)]

    def loss(params, flip):
        h = x
        for layer in params:
            h = jnp.tanh(layers.conv(layer, h, flip=flip))
        return jnp.square(h - y).mean()

    step = jax.jit(
        lambda params, flip: jax.tree.map(lambda p, g: p - 0.3 * g, params, jax.grad(loss)(params, flip)),
        static_argnums=1,
    )
    one, other = start, [p._replace(K=jnp.flip(p.K, axes)) for p in start]
    for _ in range(20):
        one, other = step(one, False), step(other, True)
    for a, b, before in zip(one, other, start):
        np.testing.assert_array_equal(jnp.flip(a.K, axes), b.K)
        np.testing.assert_array_equal(a.b, b.b)
        assert jnp.abs(a.K - before.K).max() > 0.01


def test_the_forward_jacobian_is_the_toeplitz_matrix(key):
    kernel = jax.random.normal(key, (4,))
    forward = layers.forward_mode(convolve)

    def f(x):
        return forward(x[None, :, None], kernel[:, None, None], padding=3, flip=True)[0, :, 0]

    got = jax.jacfwd(f)(jnp.zeros(6))
    column = np.concatenate([kernel, np.zeros(5)])
    want = scipy.linalg.toeplitz(column, np.concatenate([column[:1], np.zeros(5)]))
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": "VALID"}, {"groups": 2}, {"dilation": 2}])
def test_a_jvp_is_the_convolution_of_the_tangents(n, options, key):
    """A convolution is linear in each argument: ``d(x ∗ K) = dx ∗ K + x ∗ dK``."""
    x, dx = jax.random.normal(key, (2, 2, *(7, 6, 5)[:n], 4))
    K, dK = jax.random.normal(key, (2, *(3,) * n, 4 // options.get("groups", 1), 2))
    forward = layers.forward_mode(convolve)
    y, dy = jax.jvp(lambda x, K: forward(x, K, **options), (x, K), (dx, dK))
    np.testing.assert_allclose(y, convolve(x, K, **options), rtol=1e-5, atol=1e-5)
    want = convolve(dx, K, **options) + convolve(x, dK, **options)
    np.testing.assert_allclose(dy, want, rtol=1e-4, atol=1e-4)


def test_pooling_has_forward_derivatives(key):
    x, dx = jax.random.normal(key, (2, 1, 6, 6, 2))
    pools = (layers.max_pool, layers.avg_pool, layers.l2_pool, layers.neighborhood_pool)
    for pool in pools:
        got = jax.jvp(lambda x: pool(x, 3), (x,), (dx,))[1]  # noqa: B023
        reverse = jax.jacrev(lambda x: pool(x, 3))(x)  # noqa: B023
        np.testing.assert_allclose(
            got, (reverse * dx[None, None, None, None]).sum((-4, -3, -2, -1)), rtol=1e-4, atol=1e-5
        )
