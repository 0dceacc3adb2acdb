"""Jacobians through the steps of a cell: against closed forms and against the composed map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dlnotes.analysis import gradient_flow as through_time
from dlnotes.layers.recurrent.unroll import RNNParams, gru, lstm, rnn, unroll

TIME, INPUTS, HIDDEN = 6, 3, 4


def inputs(seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(TIME, INPUTS)), jnp.float32)


def test_of_the_plain_cell_in_closed_form(key):
    params, xs = rnn.init(key, INPUTS, HIDDEN), inputs()
    found = jax.jit(lambda p: through_time.step_jacobians(rnn, p, xs))(params)
    _, hs = unroll(rnn, params, xs[None])
    np.testing.assert_allclose(found.states[1:], hs[0], atol=1e-6)
    want = [np.diag(1 - np.asarray(h) ** 2) @ np.asarray(params.W).T for h in hs[0]]
    np.testing.assert_allclose(found.jacobians, want, atol=1e-6)
    products = [np.eye(HIDDEN)]
    for J in reversed(want):
        products.append(products[-1] @ J)
    np.testing.assert_allclose(through_time.back_from_the_end(found.jacobians), products, atol=1e-6)
    np.testing.assert_allclose(
        through_time.norms_back(found.jacobians), [np.log(np.linalg.norm(p, 2)) for p in products], atol=1e-4
    )


@pytest.mark.parametrize("cell", [lstm, gru], ids=["lstm", "gru"])
def test_of_gated_cells_against_the_composed_map(cell, key):
    params, xs = cell.init(key, INPUTS, HIDDEN), inputs()
    start, unravel = ravel_pytree(jax.tree.map(lambda a: a + 0.3, cell.carry(params, ())))

    def last(state):
        carry = jax.tree.map(lambda a: a[None], unravel(state))
        return ravel_pytree(unroll(cell, params, xs[None], carry=carry)[0])[0]

    found = jax.jit(lambda p: through_time.step_jacobians(cell, p, xs, carry=unravel(start)))(params)
    want = jax.jit(jax.jacrev(last))(start)
    np.testing.assert_allclose(through_time.back_from_the_end(found.jacobians)[-1], want, atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_hundreds_of_steps_neither_overflow_nor_end_at_zero(scale):
    W = jnp.asarray(scale * np.linalg.qr(np.random.default_rng(0).normal(size=(HIDDEN, HIDDEN)))[0])
    logs = through_time.norms_back(jnp.broadcast_to(W.astype(jnp.float32), (600, HIDDEN, HIDDEN)))
    np.testing.assert_allclose(logs, np.arange(601) * np.log(scale), rtol=1e-3, atol=1e-5)
    assert float(through_time.rate_per_step(logs)) == pytest.approx(np.log(scale), rel=1e-3)


def test_the_slope_is_that_of_least_squares():
    logs = np.random.default_rng(1).normal(size=(2, 9))
    want = [np.polyfit(np.arange(2, 9), row[2:], 1)[0] for row in logs]
    np.testing.assert_allclose(through_time.rate_per_step(jnp.asarray(logs, jnp.float32), 2), want, atol=1e-5)


def test_a_saturated_unit_lets_nothing_through():
    params = RNNParams(jnp.zeros((1, 1)), jnp.full((1, 1), 50.0), jnp.zeros(1))
    found = through_time.step_jacobians(rnn, params, jnp.zeros((3, 1)), carry=jnp.ones(1))
    logs = through_time.norms_back(found.jacobians)
    assert float(logs[0]) == 0
    assert bool(jnp.all(jnp.isneginf(logs[1:])))


def test_one_sequence_at_a_time(key):
    with pytest.raises(ValueError, match="vmap"):
        through_time.step_jacobians(rnn, rnn.init(key, INPUTS, HIDDEN), jnp.ones((2, TIME, INPUTS)))
