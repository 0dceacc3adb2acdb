"""Waiting lines against a plain simulation and the closed form of exponential services."""

import numpy as np
import pytest

from dlnotes.analysis import mean_waiting, utilization, waiting_times

RNG = np.random.default_rng(1315)


def simulated(arrivals, services):
    """One customer after another, with the time at which the server is free."""
    free, waited = 0.0, []
    for a, s in zip(arrivals, services):
        begin = max(a, free)
        waited.append(begin - a)
        free = begin + s
    return np.array(waited)


def test_waiting_times_are_those_of_a_plain_simulation():
    arrivals = np.cumsum(RNG.exponential(1.0, 500))
    for services in (RNG.exponential(0.9, 500), np.full(500, 0.7)):
        np.testing.assert_allclose(
            waiting_times(arrivals, services), simulated(arrivals, services), atol=1e-9
        )
    assert waiting_times([], 1.0).shape == (0,)


@pytest.mark.parametrize("busy", [0.3, 0.7])
def test_the_mean_is_the_closed_form(busy):
    n, arrivals = 400_000, np.cumsum(RNG.exponential(1.0, 400_000))
    equal = waiting_times(arrivals, busy).mean()
    assert equal == pytest.approx(mean_waiting(1.0, busy), rel=0.05)
    mixed = np.where(
        RNG.random(n) < 0.1, 5 * busy, busy * 5 / 9
    )  # as of a second stage that is rarely reached
    square = 0.1 * (5 * busy) ** 2 + 0.9 * (busy * 5 / 9) ** 2
    assert waiting_times(arrivals, mixed).mean() == pytest.approx(mean_waiting(1.0, busy, square), rel=0.1)


def test_exponential_services_have_their_own_well_known_form():
    rate, service = 80.0, 0.01
    expected = 0.8 * service / (1 - 0.8)  # M/M/1
    assert mean_waiting(rate, service, 2 * service**2) == pytest.approx(expected)
    assert mean_waiting(rate, service) == pytest.approx(expected / 2)
    assert utilization(rate, service) == pytest.approx(0.8)


def test_an_overloaded_server_never_catches_up():
    assert mean_waiting(2.0, 0.5) == mean_waiting(3.0, 0.5) == np.inf
    waited = waiting_times(np.arange(100.0), 1.5)
    np.testing.assert_allclose(waited, 0.5 * np.arange(100))


def test_what_is_not_possible_is_said():
    with pytest.raises(ValueError, match="second_moment: got 1.0"):
        mean_waiting(1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match="rate, service: got -1.0"):
        utilization(-1.0, 2.0)
    with pytest.raises(ValueError, match="arrivals, services"):
        waiting_times([2.0, 1.0], 1.0)
