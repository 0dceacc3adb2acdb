"""Reservoirs and their read-outs against scikit-learn, numpy and what theory says of memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from dlnotes.layers.recurrent.echo_state import Readout, free_run, memory_curve, reservoir, ridge_readout
from dlnotes.layers.recurrent.unroll import unroll


def test_reservoir_has_the_radius_and_the_connections_asked_for():
    _, params = reservoir(3, 2, 80, spectral_radius=0.7, connectivity=0.2, input_scale=0.3, bias=0.1)
    W = np.asarray(params.W)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(W)).max(), 0.7, rtol=1e-4)
    assert abs((W != 0).mean() - 0.2) < 0.02
    assert 0.28 < np.abs(params.U).max() <= 0.3
    assert 0.08 < np.abs(params.b).max() <= 0.1
    again = reservoir(3, 2, 80, spectral_radius=0.7, connectivity=0.2, input_scale=0.3, bias=0.1)[1]
    np.testing.assert_array_equal(again.W, params.W)


def test_states_follow_the_equation():
    cell, params = reservoir(0, 1, 5, connectivity=1.0, bias=0.2, leak=0.3)
    x = np.random.default_rng(0).normal(size=(1, 6, 1)).astype(np.float32)
    hs, h = unroll(cell, params, jnp.asarray(x))[1][0], np.zeros(5)
    for t in range(6):
        h = 0.7 * h + 0.3 * np.tanh(np.asarray(params.b) + h @ params.W + x[0, t] @ params.U)
        np.testing.assert_allclose(hs[t], h, rtol=1e-4, atol=1e-6)


def test_the_first_state_is_forgotten_below_radius_one():
    cell, params = reservoir(1, 1, 60, spectral_radius=0.8)
    x = jax.random.normal(jax.random.key(0), (2, 100, 1)).at[1].set(0.0)
    x = x.at[1].set(x[0])
    start = jax.random.normal(jax.random.key(1), (2, 60))
    hs = np.asarray(unroll(cell, params, x, carry=start)[1])
    apart = np.linalg.norm(hs[0] - hs[1], axis=-1)
    assert apart[0] > 1
    assert apart[-1] < 1e-3 * apart[0]


@pytest.mark.parametrize("ridge", [0.0, 0.1, 10.0])
def test_readout_equals_scikit_learn(ridge):
    rng = np.random.default_rng(0)
    H, Y = rng.normal(1.0, 2.0, (40, 7)), rng.normal(size=(40, 2))
    got = ridge_readout(H, Y, ridge=ridge)
    want = Ridge(alpha=ridge, solver="svd").fit(H, Y)
    np.testing.assert_allclose(np.asarray(got.V).T, want.coef_, rtol=1e-7)
    np.testing.assert_allclose(got.c, want.intercept_, rtol=1e-7)


def test_readout_of_fewer_examples_than_features_is_the_shortest():
    rng = np.random.default_rng(1)
    H, Y = rng.normal(size=(5, 9)), rng.normal(size=(5, 1))
    got = ridge_readout(H, Y, ridge=0.0)
    centerd = H - H.mean(0)
    np.testing.assert_allclose(got.V, np.linalg.pinv(centerd) @ (Y - Y.mean()), atol=1e-10)
    np.testing.assert_allclose(H @ got.V + got.c, Y, atol=1e-10)


def test_memory_of_a_delay_line_is_its_length():
    # Units that only hand the input on: what is older than they are many is gone.
    x = np.random.default_rng(0).uniform(-1, 1, 2000)
    states = np.stack([np.roll(x, k) for k in range(8)], 1)
    curve = memory_curve(states, x, 12, train=1500)
    np.testing.assert_allclose(curve[:7], 1, atol=1e-6)
    assert curve[7:].max() < 0.05


def test_memory_is_bounded_by_the_units():
    cell, params = reservoir(0, 1, 12, spectral_radius=0.9, connectivity=1.0, input_scale=0.1)
    x = np.random.default_rng(1).uniform(-1, 1, 4000).astype(np.float32)
    states = jax.jit(lambda x: unroll(cell, params, x)[1])(jnp.asarray(x[None, :, None]))[0]
    curve = memory_curve(states, x, 40, train=3000)
    assert ((curve >= 0) & (curve <= 1)).all()
    assert 6 < curve.sum() < 12.5


def test_free_run_feeds_its_outputs_back():
    cell, params = reservoir(0, 1, 6, connectivity=1.0)
    rng = np.random.default_rng(0)
    readout = Readout(*(jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((6, 1), (1,))))
    carry, y = jnp.asarray(rng.normal(size=(2, 6)), jnp.float32), jnp.ones((2, 1))
    got = free_run(cell, params, readout, carry, y, 3)
    assert got.shape == (2, 4, 1)
    for t in range(4):
        np.testing.assert_allclose(got[:, t], y, rtol=1e-4, atol=1e-5)
        carry, h = cell.step(params, carry, y)
        y = h @ readout.V + readout.c[None]


def test_errors():
    for options, message in (
        ({"spectral_radius": 0.0}, "spectral_radius: got 0.0, allowed is above 0"),
        ({"connectivity": 1.5}, "connectivity: got 1.5, allowed is above 0, at most 1"),
        ({"leak": 0.0}, "leak: got 0.0"),
        ({"connectivity": 1e-9}, "W has no cycle"),
    ):
        with pytest.raises(ValueError, match=message):
            reservoir(0, 1, 5, **options)
    with pytest.raises(ValueError, match="features, targets: got shapes"):
        ridge_readout(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match="ridge: got -1"):
        ridge_readout(np.ones((3, 2)), np.ones((3, 1)), ridge=-1)
    with pytest.raises(ValueError, match="states, inputs: got shapes"):
        memory_curve(np.ones((10, 2)), np.ones(10), 4, train=3)
