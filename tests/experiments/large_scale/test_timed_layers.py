"""Closed forms of layers against the compiler's count, and the effects of the claim on made-up rates."""

import sys

import jax
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes.analysis import bytes_moved, multiply_adds
from dlnotes.jax_internals import bytes_accessed, operations

roofline = experiment("large_scale/roofline")
timed_layers = sys.modules[roofline.layer.__module__]


def built(kind, batch, width):
    return timed_layers._built(kind, batch, width)


@pytest.mark.parametrize(("kind", "width"), [("dense", 48), ("LSTM step", 64), ("convolution", 0)])
def test_costs_of_products_are_those_of_the_program(kind, width):
    function, arguments = built(kind, 3, width)
    want, _ = timed_layers.cost(kind, 3, width)
    assert 2 * multiply_adds(function, *arguments) == want


@pytest.mark.parametrize(("kind", "width"), [("dense", 48), ("convolution", 0)])
def test_bytes_of_products_are_those_of_the_program(kind, width):
    function, arguments = built(kind, 3, width)
    _, numbers = timed_layers.cost(kind, 3, width)
    assert bytes_moved(function, *arguments) == 4 * numbers


@pytest.mark.parametrize("kind", ["ReLU", "momentum"])
def test_costs_by_element_are_those_that_the_compiler_counts(kind):
    function, arguments = built(kind, 3, 40)
    compiled = jax.jit(function).lower(*arguments).compile()
    want, numbers = timed_layers.cost(kind, 3, 40)
    assert operations(compiled) == pytest.approx(want, rel=0.01)
    # On CPU the update is two loops, so that the new momentum is read again: one of five arrays more.
    assert 1 <= bytes_accessed(compiled) / (4 * numbers) < (1.01 if kind == "ReLU" else 1.21)


def test_an_lstm_step_has_about_as_many_weights():
    h = timed_layers.hidden_units(4096)
    assert 0.9 < 8 * h**2 / 4096**2 <= 1


@pytest.mark.parametrize(("kind", "size"), [("by element", 50), ("dense", 12)])
def test_both_ways_give_one_gradient(kind, size):
    ways = timed_layers.ways_to_a_gradient(kind, size)
    stored, again = (ways[name].run() for name in ("store, backward", "recompute, backward"))
    for a, b in zip(stored, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    last = ways["store, forward"].run()[-1]
    np.testing.assert_allclose(last, ways["recompute, forward"].run(), rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_jax(monkeypatch):
    given = {}

    def kept(name, function, *arguments, work):
        given[name] = (function, arguments)

    monkeypatch.setattr(timed_layers, "timed", kept)
    timed_layers.ways_to_a_gradient("dense", 10)
    forward, (params, x) = given["dense: recompute, forward"]
    backward, arguments = given["dense: recompute, backward"]
    of_input, *of_weights = backward(*arguments)
    want_weights, want_input = jax.grad(lambda p, x: forward(p, x).sum(), argnums=(0, 1))(params, x)
    np.testing.assert_allclose(of_input, want_input, rtol=1e-5, atol=1e-5)
    for got, want in zip(of_weights, want_weights[::-1], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def measured(rounds=4, width=2048):
    """A machine that runs every layer exactly at its roof: 10¹¹ operations, 10¹⁰ bytes a second."""
    batches = (1, 2, 4, 16, 1024)
    made = [timed_layers.layer(kind, n, width) for kind in roofline.KINDS for n in batches]
    shape = (len(roofline.KINDS), len(batches))
    m = {
        "batches": np.array(batches),
        "products": np.tile([5e10, 1e11], (rounds, 1)),
        "bandwidth": np.full(rounds, 1e10),
        "operations": np.array([one.operations for one in made], float).reshape(shape),
        "bytes": np.array([one.bytes for one in made], float).reshape(shape),
        "outside": np.array(1e6),
    }
    return m | {"rates": roofline.attainable(m)}


def test_a_machine_at_its_roof():
    m = measured()
    assert roofline.explained(m).value == pytest.approx(1)
    assert roofline.order(m).value == pytest.approx(1)
    assert roofline.of_peak(m, 1024).value == pytest.approx(1)
    assert roofline.of_peak(m, 1).value == pytest.approx(0.05, rel=0.01)  # half an operation a byte
    assert abs(roofline.slope(m, "dense", 2, 16).value) < 0.05
    assert roofline.slope(m, "dense", 16, 1024).value > 0.8


def test_rates_that_do_not_differ_tell_nothing_apart():
    m = measured()
    assert roofline.order(m | {"rates": np.ones_like(m["rates"])}).value == 0


def test_time_a_byte_outside_caches():
    m = measured()
    operations, moved = 2.0 * 64**2, 4.0 * 64**2
    cached = m | {"small_rate": np.full(4, 3e10), "small_cost": np.array([operations, moved])}
    assert roofline.outside_caches(cached).value == pytest.approx(6)


def test_ways_are_compared_by_both_passes():
    ways = np.zeros((4, 2, 2, 2))
    ways[:, 0] = [[1.0, 3.0], [0.5, 1.5]]
    ways[:, 1] = [[1.0, 2.0], [1.0, 5.0]]
    m = {"ways": ways}
    assert roofline.recomputed(m, "by element").value == 2
    assert roofline.recomputed(m, "dense").value == 0.5
