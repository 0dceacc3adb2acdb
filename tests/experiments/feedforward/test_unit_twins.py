"""What the claims on maxout twins, near-linear networks and regularization compute by themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import outputs
from experiments.feedforward import maxout_regularization as regular
from experiments.feedforward import maxout_twin as twin
from experiments.feedforward import near_linear as near


def test_a_scaled_unit_is_the_network_with_small_activations(key):
    """Its descent is that of a tanh network whose first and last matrix have other sizes and rates."""
    s, rate = 0.3, 0.05
    params = near.network(3, s).init(key)
    x = jax.random.normal(key, (5, near.INPUTS)) / 10
    y = jnp.array([1, 2, 3, 4, 5])

    def plain(p):
        return jnp.tanh(jnp.tanh(x @ p.V) @ p.U) @ p.w

    def loss(logits):
        return jnp.mean(outputs.cross_entropy(logits, y).total)

    small = params._replace(V=s * params.V, w=params.w / s)
    np.testing.assert_allclose(near.network(3, s).apply(params, x), plain(small), rtol=1e-4, atol=1e-6)
    slope = jax.grad(lambda p: loss(near.network(3, s).apply(p, x)))(params)
    by_plain = jax.grad(lambda p: loss(plain(p)))(small)
    stepped = jax.tree.map(lambda p, g: p - rate * g, params, slope)
    rates = near.Matrices(rate * s**2, rate, rate / s**2)
    plainly = jax.tree.map(lambda p, g, r: p - r * g, small, by_plain, rates)
    np.testing.assert_allclose(near.network(3, s).apply(stepped, x), plain(plainly), rtol=1e-4, atol=1e-5)


def test_scale_zero_is_the_product_of_matrices_with_finite_derivatives(key):
    params = near.network(3, 0.0).init(key)
    x = jax.random.normal(key, (4, near.INPUTS))
    want = np.asarray(x) @ np.asarray(params.V) @ np.asarray(params.U) @ np.asarray(params.w)
    np.testing.assert_allclose(near.network(3, 0.0).apply(params, x), want, rtol=1e-4, atol=1e-4)
    slope = jax.grad(lambda p: near.network(3, 0.0).apply(p, x).sum())(params)
    assert all(np.isfinite(a).all() for a in slope)


def test_the_power_of_a_distance():
    distance = 0.2 * np.array(near.SCALES) ** 2
    m = {"apart": np.zeros((5, 4, 3)) + distance[None, :, None]}
    m["apart"][:, near.USUAL] = 9
    np.testing.assert_allclose(near.power(m), 2, rtol=1e-6)
    logits = np.random.default_rng(0).normal(size=(2, 3, 8))
    np.testing.assert_allclose(near.apart(1.5 * logits, logits), 0.5, rtol=1e-6)


def test_a_small_start_is_small_in_every_matrix():
    hyper = {"start": np.array([1.0, 0.1])}
    found = near.starts(8, hyper, np.array([4, 4]))
    for W in found:
        np.testing.assert_allclose(W[1], 0.1 * W[0], rtol=1e-5)
    np.testing.assert_allclose(found.V[0].std(), (1 / near.INPUTS) ** 0.5, rtol=0.03)


def test_distances_of_twins_are_shares_of_the_change():
    rng = np.random.default_rng(1)
    relu = np.cumsum(rng.normal(size=(4, 2, 5, 3)), axis=0)  # steps + 1, seeds, images, classes
    other = relu + 0.5 * (relu - relu[:1])
    found = twin.distances(np.array([relu, other, relu]))
    assert found.shape == (3, 3, 2)
    np.testing.assert_allclose(found[twin.TWIN], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(found[twin.RELU], 0)


def test_gaps_and_gains_are_of_the_named_arms():
    accuracy = np.zeros((3, 2, 2, 4)) + 0.01 * np.arange(4)
    accuracy[..., 0, :] += 100
    accuracy[..., 1, :] += 90
    accuracy[regular.LOW, regular.LARGE, 1] -= 3
    accuracy[regular.HIGH, regular.SMALL, 1] -= 5
    dropped = np.zeros((3, 2, 4)) + 91 + 0.01 * np.arange(4)
    m = {"accuracy": accuracy, "dropout_accuracy": dropped}
    np.testing.assert_allclose(regular.gaps(m, regular.RELU, regular.SMALL), 10)
    np.testing.assert_allclose(regular.more_than_relu(m, regular.HIGH, regular.SMALL), 5)
    np.testing.assert_allclose(regular.gains(m, regular.LOW), 4)
    assert regular.printed(m).value == pytest.approx(-2)


def test_networks_of_one_width_have_as_many_times_the_weights_as_pieces():
    for pieces in regular.PIECES:
        shapes = jax.eval_shape(regular.network(pieces, 6, regular.PLAIN).init, jax.random.key(0))
        assert shapes.hidden[0].W.shape == (784, 6 * pieces)
        assert shapes.output.W.shape == (6, 10)
