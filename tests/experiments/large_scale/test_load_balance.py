"""Two processes with a stage each: what they do to images as they arrive."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes.analysis import mean_waiting

balance = experiment("large_scale/load_balance")
workers = sys.modules[balance.Workers.__module__]
RNG = np.random.default_rng(15)
IMAGES = RNG.standard_normal((50, 6, 6, 1)).astype(np.float32)


def brightest(above):
    return jax.jit(lambda image: jnp.max(image) > above)


def expected_of(images, above):
    return images.max((1, 2, 3)) > above


@pytest.mark.slow
def test_each_image_meets_its_stages_in_two_processes():
    """Real processes, a few images: who computes what, in which order, and what comes of it."""
    n, seconds = 40, 60.0  # a process that has done all does not wait for the end
    arrival = np.sort(RNG.uniform(0, 0.2, n))
    image, owner = RNG.integers(50, size=n), RNG.integers(2, size=n)
    kept = expected_of(IMAGES[image], 2.0)
    assert 0 < kept.sum() < n
    with workers.Workers((brightest(2.0), brightest(2.5)), IMAGES, 100) as both:
        rounds = [both.run(kind, arrival, image, owner, seconds) for kind in (workers.SPLIT, workers.SHARED)]
    for of in rounds:
        np.testing.assert_array_equal(of.passed, kept)
        np.testing.assert_array_equal(~np.isnan(of.end[1]), kept)
        assert (of.begin[0] >= arrival).all()
        assert (of.end[0] >= of.begin[0]).all()
        assert (of.begin[1][kept] >= of.begin[0][kept]).all()
    for process in both.processes:
        assert process.returncode == 0


def test_a_process_that_fails_is_told():
    broken = workers.Workers((brightest(2.0), brightest(2.5)), IMAGES, 10)
    for process in broken.processes:
        process.kill()
    with pytest.raises(RuntimeError, match="process . of the cascade ended with -9"):
        broken.__enter__()


def round_of(kind, rate=100.0, service=0.005, seconds=400.0):
    """As ideal processes would do it."""
    n = int(rate * seconds)
    arrival = np.sort(RNG.uniform(0, seconds, n))
    owner = RNG.integers(2, size=n)
    begin, end = np.full((2, n), np.nan), np.full((2, n), np.nan)
    free = [0.0, 0.0]
    for i in range(n):
        own = owner[i] if kind == workers.SHARED else 0
        begin[0, i] = max(arrival[i], free[own])
        free[own] = end[0, i] = begin[0, i] + service
    return workers.Round(arrival, owner, np.zeros(n, bool), begin, end, seconds)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_summary_of_ideal_processes_is_the_closed_form(kind):
    found = dict(zip(balance.FIELDS, balance.summary(kind, round_of(kind))))
    rate = 100.0 if kind == workers.SPLIT else 50.0
    assert found["expected"] == pytest.approx(mean_waiting(rate, 0.005), rel=0.01)
    assert found["waited"] == pytest.approx(found["expected"], rel=0.15)
    assert found["busy first"] == pytest.approx(rate * 0.005, rel=0.05)
    assert found["left"] == 0


def test_the_stream_has_its_rate_and_its_prevalence():
    y = (np.arange(100) < 10).astype(np.int32)
    arrival, image, owner = balance.stream(np.random.default_rng(1), y, 20_000, 2.0)
    assert len(arrival) == pytest.approx(40_000, rel=0.02)
    assert (np.diff(arrival) >= 0).all()
    assert y[image].mean() == pytest.approx(0.01, abs=0.002)
    assert owner.mean() == pytest.approx(0.5, abs=0.02)
