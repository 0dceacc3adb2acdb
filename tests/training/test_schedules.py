"""Learning-rate factors against their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

from dlnotes.training import schedules

T = 40
STEPS = np.arange(T + 5)


def values(factor):
    out = jax.jit(jax.vmap(factor))(jnp.asarray(STEPS, jnp.int32))
    assert out.dtype == jnp.float32
    return np.asarray(out, np.float64)


def test_constant():
    np.testing.assert_array_equal(values(schedules.constant()), 1)


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_cosine(final):
    t = np.minimum(STEPS, T)
    expected = final + (1 - final) * 0.5 * (1 + np.cos(np.pi * t / T))
    np.testing.assert_allclose(values(schedules.cosine(T, final=final)), expected, atol=1e-6)


@pytest.mark.parametrize("final", [0.0, 0.3])
def test_linear(final):
    t = np.minimum(STEPS, T)
    np.testing.assert_allclose(values(schedules.linear(T, final=final)), 1 - (1 - final) * t / T, atol=1e-6)


def test_step_counts_the_boundaries_that_have_been_reached():
    expected = 0.5 ** ((STEPS >= 10).astype(int) + (STEPS >= 25))
    np.testing.assert_allclose(values(schedules.step((10, 25), factor=0.5)), expected, rtol=1e-6)


def test_exponential():
    np.testing.assert_allclose(values(schedules.exponential(7, factor=0.6)), 0.6 ** (STEPS / 7), rtol=1e-5)


def test_one_cycle_rises_to_one_and_ends_near_zero():
    got = values(schedules.one_cycle(T, rise=0.25))
    up = 1 / 25 + (1 - 1 / 25) * 0.5 * (1 - np.cos(np.pi * STEPS[:11] / 10))
    np.testing.assert_allclose(got[:11], up, atol=1e-6)
    end = 1 / 25 * 1e-4
    down = end + (1 - end) * 0.5 * (1 + np.cos(np.pi * (STEPS[10 : T + 1] - 10) / 30))
    np.testing.assert_allclose(got[10 : T + 1], down, atol=1e-6)


@pytest.mark.parametrize(("total", "parts"), [(40, (20, 20)), (41, (20, 21))])
def test_cosine_restarts_falls_to_zero_in_each_part(total, parts):
    got = values(schedules.cosine_restarts(total, cycles=2))
    expected = np.concatenate([0.5 * (1 + np.cos(np.pi * np.arange(n) / n)) for n in parts])
    np.testing.assert_allclose(got[:total], expected, atol=1e-6)
    np.testing.assert_allclose(got[total:], 0, atol=1e-6)


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("name", ["cosine", "linear", "one_cycle"])
def test_runs_of_a_step_or_two_have_finite_factors(name, total):
    got = values(getattr(schedules, name)(total))
    assert np.isfinite(got).all()
    assert got.max() > 0
    assert got.max() <= 1 + 1e-6


def test_warmup_rises_in_a_straight_line_and_keeps_the_clock():
    got = values(schedules.with_warmup(schedules.linear(T), 8))
    expected = np.minimum(1, (STEPS + 1) / 8) * (1 - np.minimum(STEPS, T) / T)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got[0] > 0  # the first step learns
    plain = schedules.constant()
    assert schedules.with_warmup(plain, 0) is plain


@pytest.mark.parametrize("half", [12, 500])
def test_inverse_sigmoid_is_half_where_it_says(half):
    factor = schedules.inverse_sigmoid(half)
    got = [float(factor(jnp.asarray(t, jnp.int32))) for t in (0, half, 100 * half)]
    k = half / float(lambertw(half).real)
    np.testing.assert_allclose(got, [k / (k + 1), 0.5, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(k * np.log(k), half)
