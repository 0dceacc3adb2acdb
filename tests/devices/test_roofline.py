"""What a device attains: rates in turns, and the roof over them."""

import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.devices import roofline
from dlnotes.devices.roofline import (
    Roofline,
    Timed,
    measure_roofline,
    product,
    rates,
    roofline_of,
    timed,
    triad,
)


def test_the_roof():
    device = Roofline(products=2e11, bandwidth=2e10)
    assert device.ridge == 10
    for intensity in (0.0, 0.1, 9.9, 10.0, 1e6):
        assert device.attainable(intensity) == min(2e11, 2e10 * intensity)


def test_work_of_a_product_and_of_the_triad():
    assert product(8).work == 2 * 8**3
    assert triad(4096).work == 3 * 4096
    assert triad(4096, "bfloat16").work == 3 * 4096
    b, c = np.arange(16, dtype=np.float32), np.ones(16, np.float32)
    np.testing.assert_array_equal(triad(64).run(), b + 3 * c)


def test_a_result_is_right_at_every_call_and_its_memory_is_used_again():
    x = jnp.arange(5.0)
    part = timed("pair", lambda x: (2 * x, x + 1), x, work=1)
    for _ in range(3):
        doubled, more = part.run()
        np.testing.assert_array_equal(doubled, 2 * np.arange(5))
        np.testing.assert_array_equal(more, np.arange(5) + 1)
    one = timed("one", lambda x: 3 * x, jnp.ones(1 << 16), work=1)
    first = one.run().unsafe_buffer_pointer()
    assert one.run().unsafe_buffer_pointer() == first


def test_rates_are_work_over_time_in_turns(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(roofline.time, "perf_counter", lambda: clock[0])

    def part(name, seconds):
        def run():
            clock[0] += seconds
            order.append(name)
            return jnp.zeros(1)

        return Timed(name, run, 6.0)

    parts = [part("a", 0.5), part("b", 0.25), part("c", 2.0)]
    found = rates(parts, rounds=3, seconds=1.0)
    np.testing.assert_allclose(found, np.tile([12.0, 24.0, 3.0], (3, 1)))
    # Two calls of each before; then a takes two calls a round, b four, c one.
    assert order[6:] == [*"aabbbbc", *"bbbbcaa", *"caabbbb"]


def test_peak_and_bandwidth_are_medians_of_the_fastest():
    found = np.array([[1.0, 5.0, 2.0], [3.0, 4.0, 2.0], [2.0, 6.0, 8.0]])
    assert roofline_of(found, [0, 1], [2]) == Roofline(5.0, 2.0)


def test_this_device():
    device = measure_roofline((64, 128), triad_bytes=1 << 20, rounds=2, seconds=0.002)
    assert 1e7 < device.products < 1e15
    assert 1e7 < device.bandwidth < 1e14


@pytest.mark.parametrize(("parts", "rounds"), [(0, 3), (1, 0)])
def test_nothing_to_time(parts, rounds):
    with pytest.raises(ValueError, match="needed is one of each"):
        rates([product(8)] * parts, rounds=rounds)
