"""What the experiment on starts of XOR computes by formulas of its own."""

import jax
import numpy as np
from experiment_module import experiment

xor = experiment("feedforward/xor_starts")


def hand_made_xor(rng, members):
    """The solution set by hand with its units exchanged and scaled at random, in a net of eight units."""
    params = xor.random_starts(rng, members)
    (W, c), (v, _) = params.layers["z"], params.layers["y"]
    for i in range(members):
        order, scale = rng.permutation(2), rng.uniform(0.2, 5, 2)
        W[i, :, :2] = scale
        c[i, :2] = np.array([0, -1])[order] * scale
        v[i, :2, 0] = np.array([1, -2])[order] / scale
    return params


def test_distance_from_the_solution_by_hand():
    params = hand_made_xor(np.random.default_rng(0), 6)
    np.testing.assert_allclose(xor.distance_from_hand(params), 0, atol=1e-5)
    width, relu = np.full(6, 2.0), np.zeros(6)
    np.testing.assert_allclose(xor.answers(params, width, relu), np.tile([0, 1, 1, 0], (6, 1)), atol=1e-5)
    moved = jax.tree.map(lambda a: a, params)
    moved.layers["y"].b[:, 0] += 0.3
    np.testing.assert_allclose(xor.distance_from_hand(moved), 0.3, atol=1e-5)


def test_units_that_are_cut_off_change_nothing_and_get_no_gradient():
    params = xor.random_starts(np.random.default_rng(1), 4)
    width, tanh = np.full(4, 3.0), np.ones(4)
    other = jax.tree.map(np.copy, params)
    other.layers["z"].W[:, :, 3:] += 1
    other.layers["y"].W[:, 3:] -= 2
    np.testing.assert_array_equal(xor.answers(params, width, tanh), xor.answers(other, width, tanh))
    gradient, hessian = xor.curvature(params, width, tanh)
    used = np.count_nonzero(np.abs(np.asarray(hessian)).max(2) > 0, axis=1)
    assert np.all(used <= 3 * 4 + 1)
    (W, c), (v, b) = (jax.tree.map(lambda a: a[0], params.layers[name]) for name in "zy")
    x, y = xor.EXAMPLES.x, xor.EXAMPLES.y
    h = np.tanh(x @ W[:, :3] + c[:3])
    error = h @ v[:3] + b - y
    into = 2 / 4 * (error @ v[:3].T) * (1 - h**2)
    parts = [2 / 4 * h.T @ error, 2 / 4 * error.sum(0), x.T @ into, into.sum(0)]
    np.testing.assert_allclose(gradient[0], np.sqrt(sum(np.sum(p**2) for p in parts)), rtol=1e-5)
