"""Linear regions: against activation patterns on a fine grid, and against closed forms."""

from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.analysis import region_bounds
from dlnotes.analysis.linear_regions import KNOTS, on_line, on_slice
from dlnotes.layers import Dense
from dlnotes.models.feedforward.mlp import MLP


def generic(model, seed, scale=1.0):
    """Random weights and biases in float64, so that nothing passes through the origin."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda a: scale * rng.normal(size=a.shape), shapes)


def pre_activations(params, x, g, pieces=None):
    """Every layer's pre-activations by plain numpy, and the output; the oracle."""
    zs, h = [], x
    for W, b in params.hidden:
        zs.append(h @ W + b)
        h = zs[-1].reshape(*zs[-1].shape[:-1], -1, pieces).max(-1) if pieces else g(zs[-1])
    return zs, h @ params.output.W + params.output.b


def grid_patterns(params, x, activation, pieces=None):
    """The pattern of every point, one row each."""
    numpy = {
        "relu": lambda z: np.maximum(z, 0),
        "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
        "abs": np.abs,
        "hard_tanh": lambda z: np.clip(z, -1, 1),
        "identity": lambda z: z,
    }
    zs, _ = pre_activations(params, x, numpy[activation], pieces)
    if pieces:
        return np.concatenate([z.reshape(len(z), -1, pieces).argmax(-1) for z in zs], axis=1)
    knots = np.array(KNOTS[activation][0])
    return np.concatenate([(z[..., None] > knots).sum(-1) for z in zs], axis=1)


CASES = [
    *((name, models.mlp(3, (5, 4, 3), 2, activation=name), None) for name in KNOTS),
    ("identity", models.maxout_mlp(3, (3, 2, 2), 2, pieces=3), 3),
]
IDS = [*KNOTS, "maxout"]


@pytest.mark.parametrize(("activation", "model", "pieces"), CASES, ids=IDS)
def test_line_against_patterns_on_a_grid(activation, model, pieces):
    for seed in range(3):
        params = generic(model, seed)
        rng = np.random.default_rng(seed + 50)
        a, b = rng.normal(size=(2, 3)) * 3
        found = on_line(params, a, b, activation=activation, pieces=pieces)
        t = np.linspace(0, 1, 20_001)
        patterns = grid_patterns(params, a + t[:, None] * (b - a), activation, pieces)
        changes = t[:-1][np.any(patterns[1:] != patterns[:-1], axis=1)]
        # Each break is a change of pattern; a change without a break needs a unit that nothing hears.
        near = np.abs(found.breaks[:, None] - changes).min(1) if len(found.breaks) else np.zeros(0)
        assert np.all(near < 1e-4)
        assert len(found.breaks) <= len(changes) + 2
        # Slopes: the difference of the outputs over each piece.
        edges = np.concatenate([[0], found.breaks, [1]])
        got = np.cumsum(found.slopes * np.diff(edges)[:, None], axis=0)[-1]
        _, ends = _output(params, np.stack([a, b]), activation, pieces)
        np.testing.assert_allclose(got, ends[1] - ends[0], rtol=1e-8, atol=1e-8)


def _output(params, x, activation, pieces):
    g = {"leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z), "abs": np.abs}
    g |= {"relu": lambda z: np.maximum(z, 0), "hard_tanh": lambda z: np.clip(z, -1, 1), "identity": np.array}
    return pre_activations(params, x, g[activation], pieces)


@pytest.mark.parametrize(("activation", "model", "pieces"), CASES, ids=IDS)
def test_slice_against_patterns_on_a_grid(activation, model, pieces):
    params = generic(model, 7)
    o, a, c = np.random.default_rng(8).normal(size=(3, 3))
    found = on_slice(params, o, a, c, activation=activation, pieces=pieces)
    u = np.linspace(-1, 1, 201)[:, None]
    points = np.stack(np.broadcast_arrays(u, u.T), -1).reshape(-1, 2)
    brute = np.unique(grid_patterns(params, o + points @ np.stack([a, c]), activation, pieces), axis=0)
    ours = {tuple(p) for p in found.pattern}
    assert {tuple(p) for p in brute} <= ours  # the grid can miss a small region, never find one more
    assert found.regions == len(ours)
    area = [_area(p) for p in found.polygons]
    assert min(area) > 0  # counter-clockwise
    assert sum(area) == pytest.approx(4.0)
    missed = [x for x, p in zip(area, found.pattern) if tuple(p) not in {tuple(q) for q in brute}]
    assert all(x < 5e-3 for x in missed)
    # Inside each polygon the network is affine with that gradient.
    for polygon, slope in zip(found.polygons, found.gradient):
        _, y = _output(params, o + polygon @ np.stack([a, c]), activation, pieces)
        np.testing.assert_allclose(y - y[0], (polygon - polygon[0]) @ slope, rtol=1e-6, atol=1e-8)


def _area(polygon):
    x, y = polygon.T
    return 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_one_generic_layer_has_zaslavskys_number(n):
    params = generic(models.mlp(2, (n,), 1), n)
    everything = (-1e4, 1e4, -1e4, 1e4)
    found = on_slice(params, [0, 0], [1, 0], [0, 1], window=everything)
    assert found.regions == found.pieces == region_bounds.one_layer(2, n) == 1 + n + comb(n, 2)
    line = on_line(params, [-1e6, -0.7e6], [1e6, 0.7e6 + 1])
    assert len(line.slopes) == region_bounds.one_layer(1, n) == n + 1


def test_a_line_folded_by_absolute_values_has_two_to_the_depth_pieces():
    for depth in range(1, 11):
        fold = Dense(jnp.full((1, 1), 2.0), jnp.full(1, -1.0))
        layers = (fold,) + (fold._replace(b=jnp.full(1, -1.0)),) * (depth - 1)
        params = MLP(layers, (None,) * depth, Dense(jnp.ones((1, 1)), jnp.zeros(1)))
        found = on_line(params, [0.0], [1.0], activation="abs")
        np.testing.assert_array_equal(found.breaks, np.arange(1, 2**depth) / 2**depth)
        np.testing.assert_array_equal(np.abs(found.slopes), 2.0**depth)


def test_units_that_nothing_hears_bend_nothing():
    params = generic(models.mlp(2, (6,), 1), 3)
    params.output.W[:4] = 0.0
    found = on_slice(params, [0, 0], [1, 0], [0, 1], window=(-1e4, 1e4, -1e4, 1e4))
    assert (found.regions, found.pieces) == (1 + 6 + 15, 1 + 2 + 1)
    assert len(on_line(params, [-1e6, -0.7e6], [1e6, 0.7e6 + 1]).slopes) == 3


def test_learned_slopes_and_a_network_without_hidden_layers():
    model = models.mlp(1, (3,), 1, activation="prelu")
    params = generic(model, 2)
    assert len(on_line(params, [-1e3], [1e3], activation="prelu").slopes) == 4
    linear = generic(models.mlp(2, (), 1), 2)
    assert on_slice(linear, [0, 0], [1, 0], [0, 1]).pieces == 1


@pytest.mark.parametrize(("d", "n", "l"), [(1, 4, 3), (2, 5, 2), (2, 8, 4), (3, 6, 3)])
def test_bounds(d, n, l):
    assert region_bounds.reached(d, n, l) <= region_bounds.at_most(d, (n,) * l)
    assert region_bounds.reached(d, n, 1) == region_bounds.one_layer(d, n)
    assert float(region_bounds.relu_regions(d, n, l)) == pytest.approx((n / d) ** (d * (l - 1)) * n**d)


def test_the_printed_number_is_more_than_any_network_has():
    d, n = 2, 8
    for depth in range(2, 6):
        assert region_bounds.as_printed(d, n, depth) > region_bounds.at_most(d, (n,) * depth)


def test_random_networks_stay_below_the_limit():
    for seed, widths in enumerate([(4, 4), (6, 3, 5), (2, 7)]):
        params = generic(models.mlp(2, widths, 1), seed)
        window = (-1e4, 1e4, -1e4, 1e4)
        found = on_slice(params, [0, 0], [1, 0], [0, 1], window=window)
        assert found.pieces <= found.regions <= region_bounds.at_most(2, widths)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: on_line(p, [0.0], [1.0, 1.0]), "start: got shape"),
        (lambda p: on_line(p, [0.0, 0], [1.0, 1.0], activation="tanh"), "activation: got 'tanh'"),
        (lambda p: on_line(p, [0.0, 0], [1.0, 1.0], activation=["relu"] * 2), "activation: got 2 names"),
        (lambda p: on_slice(p, [0, 0], [1, 0], [0, 1], window=(1, 0, 0, 1)), "window: got"),
        (lambda p: region_bounds.relu_regions(3, 2, 2), "n: got 2 units for 3 inputs"),
        (lambda p: region_bounds.maxout_regions(0, 2, 2), "d: got 0"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(generic(models.mlp(2, (3,), 1), 0))


def test_a_maxout_network_needs_its_pieces():
    with pytest.raises(ValueError, match="pieces: got None"):
        on_line(generic(models.maxout_mlp(2, (3,), 1, pieces=2), 0), [0.0, 0], [1.0, 1])
