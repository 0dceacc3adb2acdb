"""Frontiers against scipy's convex hull, permuted pixels by hand, what validation chooses by a loop."""

import jax
import numpy as np
import pytest
from experiment_module import experiment
from scipy.spatial import ConvexHull

trade_off = experiment("feedforward/forgetting")
frontier, height, area, CHANCE = trade_off.frontier, trade_off.height, trade_off.area, trade_off.CHANCE
training = trade_off.learn_both.__globals__


@pytest.mark.parametrize("seed", range(5))
def test_frontier_is_the_lower_left_of_the_hull(seed):
    points = np.random.default_rng(seed).uniform(0.05, 0.85, (40, 2))
    corners = frontier(points)
    # All that is no better than some point, inside the square: what a hull of these corners holds.
    corner = [[points[:, 0].min(), CHANCE], [CHANCE, CHANCE], [CHANCE, points[:, 1].min()]]
    hull = ConvexHull(np.concatenate([points, corner]))
    assert area(corners) == pytest.approx(1 - hull.volume / CHANCE**2, abs=1e-9)
    inside = hull.points @ hull.equations[:, :2].T + hull.equations[:, 2]
    for x, y in corners:
        assert np.min(np.linalg.norm(hull.points[np.max(inside, axis=1) > -1e-9] - [x, y], axis=1)) < 1e-9
        assert height(corners, x) == pytest.approx(y)


def test_points_that_are_no_numbers_or_worse_than_chance_are_left_out():
    points = np.array([[0.2, 0.3], [np.nan, 0.1], [0.95, 0.25], [0.1, 1.0]])
    np.testing.assert_allclose(frontier(points), [[0.1, 0.9], [0.2, 0.3], [0.9, 0.25]])
    assert height(frontier(points), 0.05) == CHANCE
    assert area(frontier(np.full((2, 2), np.nan))) == pytest.approx(1)


def test_permuted_pixels_are_permuted_rows_of_the_first_weights():
    rng = np.random.default_rng(0)
    model = training["dense_network"](12, 5, 1, False)
    params = training["initial_params"](model, range(3), "he")
    orders, x = np.stack([rng.permutation(12) for _ in range(3)]), rng.standard_normal((4, 12), np.float32)
    moved = training["permuted"](params, np.argsort(orders, axis=1))
    back = training["permuted"](moved, orders)
    np.testing.assert_array_equal(back.hidden[0].W, params.hidden[0].W)
    for i, order in enumerate(orders):
        here, there = (jax.tree.map(lambda a, i=i: a[i], tree) for tree in (params, moved))
        np.testing.assert_allclose(
            model.apply(there, x), model.apply(here, x[:, order]), rtol=1e-5, atol=1e-6
        )


def test_chosen_is_the_least_mean_validation_error():
    errors = np.random.default_rng(0).uniform(0, 0.9, (3, 4, 5, 2, 2))
    got = trade_off.chosen(errors)
    for repetition, found in zip(errors, got):
        pairs = [repetition[d, t] for d in range(4) for t in range(5)]
        best = min(pairs, key=lambda pair: pair[0, 0] + pair[1, 0])
        np.testing.assert_allclose(found, 100 * best[:, 1])
