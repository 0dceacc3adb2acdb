"""Loops that are a network, and the accuracy that a time allows."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import models

layouts = experiment("large_scale/data_layout")
loop_networks = sys.modules[layouts.loops.__module__]

PARAMS = loop_networks.random_perceptron(20, 7, 3)
X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 20), np.float32))


@pytest.mark.parametrize("layout", loop_networks.LAYOUTS)
def test_loops_are_the_network(layout):
    got = loop_networks.looped(loop_networks.laid_out(PARAMS, layout), X, layout)
    np.testing.assert_allclose(got, models.mlp(20, (7,), 3).apply(PARAMS, X), rtol=1e-5, atol=1e-5)


def test_all_ways_give_one_answer_to_the_last_bit():
    scalar = loop_networks.scalar_code("x86_64")
    runs = [
        loop_networks.loops(PARAMS, X, layout, vectors=vectors or not scalar).run()
        for layout in loop_networks.LAYOUTS
        for vectors in (True, False)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


def test_weights_apart_lie_by_unit():
    apart = loop_networks.laid_out(PARAMS, "apart")
    np.testing.assert_array_equal(apart.hidden[0].W, PARAMS.hidden[0].W.T)
    np.testing.assert_array_equal(apart.output.b, PARAMS.output.b)


def test_code_without_vectors_is_only_made_for_x86():
    assert not loop_networks.scalar_code("aarch64")


UNITS = (2, 4, 8, 16, 32, 64, 128, 256)


def measured(naive=10.0):
    """The fast network takes as many seconds as it has units, the naive one ``naive`` times as many."""
    widths = np.array(UNITS, float)
    seconds = np.stack([widths, naive * widths, widths / 2], -1)
    accuracy = np.tile(0.5 + 0.05 * np.arange(len(widths))[:, None], (1, 5))
    return {
        "units": widths,
        "seconds": np.tile(seconds, (3, 1, 1)),
        "validation": accuracy,
        "accuracy": accuracy,
        "half": accuracy,
        "wide": np.tile([[1.0, 4.0], [6.0, 8.0]], (3, 1, 1)),
        "scalar": np.array(True),
    }


def test_the_best_network_in_a_time():
    m = measured()
    assert layouts.given(m) == 128
    assert UNITS[layouts.chosen(m, "fast", 128)] == 128
    assert UNITS[layouts.chosen(m, "naive", 128)] == 8
    assert UNITS[layouts.chosen(m, "library", 128)] == 256
    assert layouts.gained(m).value == pytest.approx(5 * 4)  # four widths apart


def test_where_no_network_fits_the_answer_is_chance():
    m = measured(naive=1000.0)
    assert layouts.chosen(m, "naive", 128) is None
    np.testing.assert_allclose(layouts.reached(m, "naive", 128), 10)


def test_a_wider_network_that_is_worse_is_not_chosen():
    m = measured()
    m["validation"] = m["validation"].copy()
    m["validation"][UNITS.index(128)] = 0.1
    assert UNITS[layouts.chosen(m, "fast", 128)] == 64


def test_layout_and_instructions_are_compared_apart():
    m = measured()
    assert layouts.layout(m).value == 2
    assert layouts.vectors(m).value == 4
    assert np.isnan(layouts.vectors(m | {"scalar": np.array(False)}).value)
