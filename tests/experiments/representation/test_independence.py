"""What is said of a code: its density, its samples, the sources it has."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

independence = experiment("representation/independence")
codes = sys.modules[independence.coder.__module__]
mixed_sources = sys.modules[independence.of_mixtures.__module__]


@pytest.fixture
def rng():
    return np.random.default_rng(14_8)


def test_a_factorial_density_loses_the_total_correlation(rng):
    """Of two normals with correlation ρ it is −½ log(1 − ρ²); the margins' own shapes do not matter."""

    def draw(n):
        x = rng.normal(size=(n, 2)) @ np.linalg.cholesky([[1, 0.8], [0.8, 1]]).T
        return np.stack([np.exp(x[:, 0]), x[:, 1] ** 3], axis=1)

    lost = codes.nats_lost(draw(4000), draw(1000), draw(4000), (1,), seed=0)
    np.testing.assert_allclose(lost, -0.5 * np.log(1 - 0.8**2), atol=0.04)


def test_of_independent_units_it_loses_nothing_and_of_a_circle_something(rng):
    apart = [rng.exponential(size=(n, 3)) for n in (1000, 500, 1000)]
    assert abs(codes.nats_lost(*apart, (1, 4), seed=0)) < 0.03
    angles = [rng.uniform(0, 2 * np.pi, n) for n in (1000, 500, 1000)]
    circle = [np.stack([np.cos(a), np.sin(a)], axis=1) for a in angles]
    assert codes.nats_lost(*circle, (1, 4), seed=0) > 0.3
    assert max(codes.linear_dependence(c) for c in circle) < 0.02


def test_normal_scores_of_their_own_sample_are_normal(rng):
    scores = codes.normal_scores(rng.exponential(size=(999, 2)), np.array([[np.log(2), 0.0]]))
    np.testing.assert_allclose(scores[0, 0], 0, atol=0.15)  # the median
    assert np.isfinite(scores).all()
    assert scores[0, 1] < -3


def test_energy_distance_by_hand_and_of_shuffled_columns(rng):
    a, b = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])
    assert codes.energy_distance(a, b) == pytest.approx(2 * 1 - 2 - 0)
    x = rng.normal(size=(400, 1)) * [1.0, 1.0]
    apart = codes.shuffled(x, rng)
    np.testing.assert_array_equal(np.sort(apart, 0), np.sort(x, 0))
    assert abs(np.corrcoef(apart.T)[0, 1]) < 0.2
    assert codes.energy_distance(x, apart) > 0.05 > abs(codes.energy_distance(x[:200], x[200:]))


def test_the_two_penalties_and_the_share_not_explained(rng):
    h = jnp.asarray(rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)), jnp.float32)
    np.testing.assert_allclose(codes.correlation(h), codes.linear_dependence(np.asarray(h)), atol=1e-5)
    x = jnp.asarray(rng.normal(size=(60, 5)), jnp.float32)
    coded = codes.Coded(jnp.zeros((60, 5)), h)
    spread = float((x**2).sum(1).mean())
    np.testing.assert_allclose(codes.unexplained(spread)(coded, x).total.mean(), 1, rtol=1e-6)
    for linear, penalty in (
        (0.0, independence.blockwise(np.asarray(h)[None], 60)[0]),
        (1.0, codes.correlation(h)),
    ):
        got = codes.objective(spread, jnp.float32(0.5), jnp.float32(linear))(coded, x)
        np.testing.assert_allclose(got.total.mean(), 1 + 0.5 * penalty, rtol=1e-5)
        assert (got.count == 1).all()


def test_sources_are_matched_whatever_their_order_sign_and_scale(rng):
    sources = rng.normal(size=(200, 3))
    found = sources[:, [2, 0, 1]] * [-3.0, 0.1, 5.0] + 1
    assert mixed_sources.recovered(sources, found) == pytest.approx(1)
    found[:, 0] = 4.0
    np.testing.assert_allclose(mixed_sources.recovered(sources, found), 2 / 3)


def test_mixtures_are_white_and_hold_their_sources(rng):
    sources, mixed = mixed_sources.mixtures(np.array([3, 4]), 3, 400)
    assert not np.allclose(sources[0], sources[1])
    for s, x in zip(sources, mixed):
        np.testing.assert_allclose(x.T @ x / 400, np.eye(3), atol=1e-4)
        back, *_ = np.linalg.lstsq(np.c_[x, np.ones(400)], s, rcond=None)
        np.testing.assert_allclose(np.c_[x, np.ones(400)] @ back, s, atol=1e-4)
        assert mixed_sources.fast_ica(x, 0).shape == (400, 3)


@pytest.mark.slow
def test_the_penalty_finds_the_sources_as_fast_ica_does():
    found = mixed_sources.of_mixtures(np.array([77, 78]), 500, 200)
    assert (found["sources"][1, 1] > found["fast_ica"] - 0.01).all()
    assert found["sources"][1, 1].min() > 0.98
    assert found["sources"][1, 0].max() < 0.97


def test_a_coder_goes_down_and_up(rng):
    model = independence.coder(7, (5,), 2)
    params = jax.tree.map(lambda a: a[None], model.init(jax.random.key(0)))
    code, errors = codes.coded(model, params, rng.normal(size=(9, 7)).astype(np.float32))
    assert code.shape == (1, 9, 2)
    assert errors.shape == (1, 9)
