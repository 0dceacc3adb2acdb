"""Canvases of the claim on hard attention, and what teaches the network that looks."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from experiment_module import experiment

from dlnotes.data import Examples
from dlnotes.outputs import cross_entropy

attention = experiment("large_scale/hard_attention")
made_by = sys.modules[attention.canvases.__module__]
RNG = np.random.default_rng(8)
DIGITS = Examples(RNG.random((20, 28, 28, 1), np.float32), np.arange(20) % 10)


def test_the_digit_is_where_the_cell_says():
    made = attention.canvases(DIGITS, 15, 3)
    assert made.x.shape == (15, 30, 30, 1)
    small = np.asarray(DIGITS.x).reshape(20, 14, 2, 14, 2).mean((2, 4))
    for canvas, (cell, label) in zip(made.x[..., 0], made.y):
        row, column = divmod(int(cell), made_by.CELLS)
        found = []
        for image in small[np.asarray(DIGITS.y) == label]:
            for top in range(3 * row - 7, 3 * row - 4):  # its middle lies in the cell
                for left in range(3 * column - 7, 3 * column - 4):
                    window = canvas[top : top + 14, left : left + 14]
                    found += [(window >= image).all()] if window.shape == image.shape else []
        assert any(found)
    np.testing.assert_array_equal(attention.canvases(DIGITS, 15, 3).x, made.x)


def test_places_near_the_right_one_are_beside_it():
    looked = attention.looked(attention.canvases(DIGITS, 200, 4), 5).x
    near, cell = (np.stack(np.divmod(v, made_by.CELLS)) for v in (looked.near, looked.cell))
    assert np.abs(near - cell).max() == 1
    assert looked.far.min() >= 0
    assert looked.far.max() < made_by.CELLS**2


def test_losses_are_what_is_written():
    output = jnp.asarray(RNG.standard_normal((6, 13)), jnp.float32)
    y = jnp.arange(6)
    cost = cross_entropy(output[:, :10], y).total
    known = attention.loss_of(attention.KNOWN)(output, y).total
    np.testing.assert_allclose(known, cost - output[:, 10], rtol=1e-5)
    others = jnp.array([jnp.delete(cost, i).mean() for i in range(6)])
    learned = attention.loss_of(attention.LEARNED)
    expected = cost + (cost - others) * output[:, 11] - attention.ENTROPY * output[:, 12]
    np.testing.assert_allclose(learned(output, y).total, expected, rtol=1e-5)
    gradient = jax.grad(lambda o: learned(o, y).total.sum())(output)
    np.testing.assert_allclose(gradient[:, 11], cost - others, rtol=1e-4, atol=1e-6)


def test_a_third_of_the_cost():
    whole = attention.cost_of(attention.WHOLE)
    assert attention.cost_of(attention.ATTENTION) < whole / 3
    assert abs(attention.cost_of(attention.CHEAP) / attention.cost_of(attention.ATTENTION) - 1) < 0.1
