"""Powers, products and compositions against numpy's closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from dlnotes.analysis import recurrent_dynamics as maps

N, STEPS = 5, 12


def symmetric(values, seed=0):
    Q = linalg.qr(np.random.default_rng(seed).normal(size=(N, N)))[0]
    return Q.T @ np.diag(values) @ Q


def start(seed=1):
    return np.random.default_rng(seed).normal(size=(3, N))


def test_states_are_powers_of_any_square_matrix():
    W, h0 = np.random.default_rng(2).normal(size=(N, N)) / 2, start()
    states = maps.linear_states(jnp.asarray(W, jnp.float32), jnp.asarray(h0, jnp.float32), STEPS)
    want = np.stack([h0 @ np.linalg.matrix_power(W, t).T for t in range(STEPS + 1)])
    np.testing.assert_allclose(states, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("values", [[1.2, -0.9, 0.5, 0.3, -0.1], [-0.95, 0.8, 0.6, -0.2, 0.0]])
def test_the_eigenvalues_give_the_same_states(values):
    W, h0 = symmetric(values), start()
    found = jax.jit(maps.spectrum)(jnp.asarray(W, jnp.float32), jnp.asarray(h0, jnp.float32))
    np.testing.assert_allclose(found.values, values, atol=1e-6)
    states = np.stack([h0 @ np.linalg.matrix_power(W, t).T for t in range(STEPS + 1)])
    np.testing.assert_allclose(maps.states_by_spectrum(found, STEPS), states, atol=2e-5)
    components = np.asarray(maps.components_over_time(found, STEPS))
    t = np.arange(STEPS + 1).reshape(-1, 1, 1)
    # An eigenvalue that is 1e-6 away, as allowed above, is STEPS times as far away in its power.
    want = np.abs(components[:1]) * np.abs(values) ** t
    np.testing.assert_allclose(np.abs(components), want, rtol=STEPS * 1e-6, atol=1e-5)

    top = np.linalg.eigh(W)[1][:, np.argmax(np.abs(np.linalg.eigvalsh(W)))]
    along = np.abs(states @ top) / np.linalg.norm(states, axis=-1)
    np.testing.assert_allclose(maps.lost(found, STEPS), np.sqrt(1 - np.minimum(along, 1) ** 2), atol=2e-4)


def test_what_is_lost_falls_by_the_ratio_of_two_eigenvalues_also_where_the_state_explodes():
    W = symmetric([3.0, 1.5, 0.3, 0.2, 0.1])
    lost = np.asarray(maps.lost(maps.spectrum(jnp.asarray(W, jnp.float32), jnp.ones(N)), 100))
    np.testing.assert_allclose(lost[21:60] / lost[20:59], 0.5, rtol=1e-3)
    assert np.all(np.isfinite(lost))


def test_the_variance_of_a_product_and_its_rule(key):
    n, target = 4, 0.3
    v = maps.factor_variance(target, n)
    assert v**n == pytest.approx(target)
    products = np.asarray(maps.products_of_weights(key, n, v, 200_000))
    np.testing.assert_allclose(products.var(axis=1), v ** np.arange(1, n + 1), rtol=0.1)
    np.testing.assert_allclose(products.mean(axis=1), 0, atol=0.02)


def test_the_section_is_the_composed_map_along_a_line():
    rng = np.random.default_rng(3)
    W, h0, d, u = rng.normal(size=(N, N)), *rng.normal(size=(3, N))
    s = np.linspace(-2, 2, 41)
    f32 = [jnp.asarray(a, jnp.float32) for a in (W, h0, d, s, u)]
    got = maps.section(lambda h: jnp.tanh(h @ f32[0].T), *f32[1:], 3)
    for t in range(4):
        for i in (0, 17, 40):
            h = h0 + s[i] * d
            for _ in range(t):
                h = np.tanh(W @ h)
            assert float(got[t, i]) == pytest.approx(u @ h, abs=2e-4)


def test_turning_points_of_chebyshev_polynomials():
    """T_2 composed with itself t times is T_{2^t}, with 2^t − 1 turns."""
    one = jnp.ones(1)
    along = jnp.cos(jnp.linspace(jnp.pi, 0.0, 1001))
    curves = maps.section(lambda h: 2 * h * h - 1, 0 * one, one, along, one, 5)
    np.testing.assert_array_equal(maps.turning_points(curves), [0, 1, 3, 7, 15, 31])
    np.testing.assert_allclose(curves[3], jnp.cos(8 * jnp.arccos(along)), atol=1e-3)


def test_errors():
    with pytest.raises(ValueError, match="symmetric"):
        maps.spectrum(jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.ones(2))
    with pytest.raises(ValueError, match="W: got shape"):
        maps.linear_states(jnp.ones((2, 3)), jnp.ones(3), 2)
    with pytest.raises(ValueError, match="steps"):
        maps.linear_states(jnp.eye(2), jnp.ones(2), 0)
