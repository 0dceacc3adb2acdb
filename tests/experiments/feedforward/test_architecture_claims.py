"""The networks that the claims on architecture build by hand, against what they should compute."""

import jax
import numpy as np
import pytest

from dlnotes import models
from dlnotes.analysis import region_bounds
from dlnotes.analysis.linear_regions import on_line, on_slice
from experiments.feedforward import _finite_and_polynomial as finite
from experiments.feedforward import linear_regions as regions
from experiments.feedforward import sawtooth as saw
from experiments.feedforward import store_or_recompute as store
from experiments.feedforward import universal_approximation as universal


def test_zigzag_folds_the_interval_onto_itself():
    for p in (1, 2, 3, 4):
        w, b, out = regions.zigzag(p)
        t = np.arange(p + 1) / p
        got = np.maximum(t[:, None] * w + b, 0) @ out
        np.testing.assert_allclose(got, np.arange(p + 1) % 2, atol=1e-12)


@pytest.mark.parametrize(("d", "n", "l"), [(1, 4, 3), (2, 4, 2)])
def test_folding_networks_have_the_regions_of_the_proof(d, n, l):
    params = regions.folding_network(d, n, l)
    if d == 1:
        found = len(on_line(params, [0.0], [1.0]).slopes)
    else:
        found = on_slice(params, [0, 0], [1, 0], [0, 1], window=(0, 1, 0, 1)).pieces
    assert found == region_bounds.reached(d, n, l)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_folding_maxout_is_a_zigzag(k):
    params = regions.folding_maxout(1, k, 1)
    t = np.arange(k + 1, dtype=np.float32)[:, None] / k
    rounded = jax.tree.map(lambda a: np.asarray(a, np.float32), params)
    got = models.maxout_mlp(1, (2,), 1, pieces=k).apply(rounded, t)
    np.testing.assert_allclose(np.asarray(got)[:, 0], np.arange(k + 1) % 2, atol=1e-5)


def test_sawtooth_is_the_tent_folded_over_and_over():
    x = np.random.default_rng(0).uniform(size=50)
    y = x
    for folds in range(1, 7):
        y = np.where(y < 0.5, 2 * y, 2 - 2 * y)
        np.testing.assert_allclose(saw.sawtooth(x, folds), y, atol=1e-12)


def test_fits_at_the_first_corners_stay_above_the_bound():
    for folds in (5, 6, 7):
        assert saw.solved(folds) > 1 - 2 * folds / 2 ** (folds - 1)


def test_random_functions_and_their_derivatives():
    functions = universal.random_functions(np.random.default_rng(1), 4)
    x, h = np.linspace(-0.9, 0.9, 40), 1e-6
    _, slope = functions(x)
    want = (functions(x + h)[0] - functions(x - h)[0]) / (2 * h)
    np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-5)
    assert np.std(functions(np.linspace(-1, 1, 5001))[0], axis=1) == pytest.approx(1, abs=1e-2)


def test_staircase_meets_the_function_and_its_slope():
    def cubes(x):
        return x[None] ** 3, 3 * x[None] ** 2

    errors = universal.built_errors(cubes, np.linspace(-0.999, 0.999, 777))
    assert errors[0, 0] < 1e-5
    assert errors[1, 0] < 2e-3


def test_layers_computed_are_counted_while_the_gradient_runs():
    n = 6
    counts = [store.layers_computed(way, n) for way in store.WAYS.values()]
    assert counts == [n, 2 * n, n * (n + 3) // 2]


def test_truth_tables_of_three_bits_are_exact():
    assert finite.wrong_tables().tolist() == [0, 0]


def test_a_polynomial_activation_cannot_leave_its_degree():
    """A cubic is met exactly by z³ and not by z²; a quartic by neither."""
    x = np.linspace(-1, 1, 201)
    y = np.stack([x**3 - x, x**4])
    found, floor = finite.polynomial_errors(np.random.default_rng(0), y, x, (8, 32))
    degrees = list(finite.DEGREES)
    assert found[degrees.index(3), :, 0].max() < 1e-9
    assert found[degrees.index(2), :, 0].min() > 0.1
    assert found[degrees.index(3), :, 1].min() > 0.05
    np.testing.assert_allclose(found[:2, :, 1], np.broadcast_to(floor[:2, None, 1], (2, 2)), rtol=1e-6)
