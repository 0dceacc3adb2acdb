"""Distance correlation against its definition, a closed form for normals, and what it must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from dlnotes import outputs


def by_definition(x, y):
    """Székely and Rizzo (2014), entry by entry."""

    def centered(x):
        n = len(x)
        a = np.abs(np.subtract.outer(x, x))
        A = a - a.sum(0)[None] / (n - 2) - a.sum(1)[:, None] / (n - 2) + a.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(A, 0)
        return A

    A, B = centered(x), centered(y)
    return (A * B).sum() / np.sqrt((A * A).sum() * (B * B).sum())


def of_normals(correlation):
    """Theorem 7 of Székely, Rizzo and Bakirov (2007): two normal numbers."""
    r = correlation
    top = r * np.arcsin(r) + np.sqrt(1 - r**2) - r * np.arcsin(r / 2) - np.sqrt(4 - r**2) + 1
    return top / (1 + np.pi / 3 - np.sqrt(3))


@pytest.fixture
def rng():
    return np.random.default_rng(148)


@pytest.mark.parametrize("n", [4, 5, 30])
def test_the_definition(rng, n):
    h = rng.normal(size=(n, 4)) @ rng.normal(size=(4, 4))
    h[:, 1] = h[:, 0] ** 2
    got = outputs.distance_correlations(jnp.asarray(h, jnp.float32))
    want = [[by_definition(x, y) for x in h.T] for y in h.T]
    np.testing.assert_allclose(got, want, atol=3e-6)
    np.testing.assert_allclose(outputs.dependence(jnp.asarray(h, jnp.float32)),
                               (np.sum(want) - 4) / 12, atol=3e-6)  # fmt: skip


@pytest.mark.parametrize("correlation", [0.0, 0.4, -0.8])
def test_the_closed_form_of_normals(rng, correlation):
    found = []
    for _ in range(12):
        x, y = rng.normal(size=(2, 600))
        pair = np.stack([x, correlation * x + np.sqrt(1 - correlation**2) * y], axis=1)
        found.append(float(outputs.dependence(jnp.asarray(pair, jnp.float32))))
    error = 4 * np.std(found) / np.sqrt(len(found))
    np.testing.assert_allclose(np.mean(found), of_normals(correlation), atol=error)
    assert error < 0.05


def test_small_samples_of_independent_columns_give_zero_on_average(rng):
    h = jnp.asarray(rng.normal(size=(4000, 8, 3)), jnp.float32)
    found = np.asarray(jax.jit(jax.vmap(outputs.dependence))(h))
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(len(found))
    assert (found < 0).any()


def test_uncorrelated_is_not_independent(rng):
    angle = rng.uniform(0, 2 * np.pi, 400)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert abs(np.corrcoef(circle.T)[0, 1]) < 0.1
    assert float(outputs.dependence(jnp.asarray(circle, jnp.float32))) > 0.02


@settings(max_examples=25, deadline=None)
@given(st.floats(-8, 8), st.floats(-30, 30), st.booleans())
def test_neither_scale_nor_place_nor_sign_is_seen(power, place, negative):
    h = np.random.default_rng(3).normal(size=(12, 3))
    h[:, 1] += h[:, 0]
    scale = (-1 if negative else 1) * 10**power
    moved = h.copy()
    moved[:, 1] = scale * (h[:, 1] + place)
    want, got = (outputs.distance_correlations(jnp.asarray(a, jnp.float32)) for a in (h, moved))
    np.testing.assert_allclose(got, want, atol=2e-4)


def test_constant_columns_depend_on_nothing_and_have_no_gradient(rng):
    h = rng.normal(size=(20, 3)).astype(np.float32)
    h[:, 2] = 5.0
    found = outputs.distance_correlations(jnp.asarray(h))
    np.testing.assert_array_equal(found[2], 0)
    gradient = np.asarray(jax.grad(outputs.dependence)(jnp.asarray(h)))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[:, :2]).max() > 0
    np.testing.assert_array_equal(gradient[:, 2], 0)
    one_outlier = np.zeros((20, 2), np.float32)
    one_outlier[3] = 1.0
    assert np.isfinite(jax.grad(outputs.dependence)(jnp.asarray(one_outlier))).all()


def test_gradients(rng):
    h = jnp.asarray(rng.normal(size=(7, 3)), jnp.float32)
    check_grads(outputs.dependence, (h,), order=1, modes=["fwd", "rev"], rtol=0.02, atol=0.01)
    # What does not change along scale and place has no slope there.
    gradient = np.asarray(jax.grad(outputs.dependence)(h))
    np.testing.assert_allclose(gradient.sum(0), 0, atol=1e-5)
    np.testing.assert_allclose((gradient * h).sum(0), 0, atol=1e-5)


def test_bits_and_whole_numbers():
    h = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1], [1, 1, 1]])
    found = outputs.distance_correlations(h)
    np.testing.assert_allclose(found[0, 2], 1, atol=1e-6)
    np.testing.assert_allclose(found[0, 1], by_definition(h[:, 0], h[:, 1]), atol=1e-6)


@pytest.mark.parametrize(
    ("h", "message"),
    [
        (np.ones((3, 2)), r"h: got shape \(3, 2\), allowed is \(n, units\) with n at least 4"),
        (np.ones(8), r"h: got shape \(8,\)"),
        (np.ones((8, 1)), r"h: got shape \(8, 1\), allowed is \(n, units\) with two units or more"),
    ],
)
def test_what_is_too_small_is_refused(h, message):
    with pytest.raises(ValueError, match=message):
        outputs.dependence(h)
