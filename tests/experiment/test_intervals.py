"""Means over seeds and their intervals, which stay within what a quantity can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from dlnotes.experiment.intervals import FREE, POSITIVE, SHARE, limits_of, mean_interval, share_interval


def test_the_interval_is_students():
    values = np.random.default_rng(4).normal(size=7)
    got = mean_interval(values)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose([got["mean"], got["low"], got["high"]], [values.mean(), low, high])
    assert got["values"] == values.tolist()


def test_one_seed_has_no_interval_and_failed_seeds_do_not_count():
    assert mean_interval(np.array([0.5])) == {"mean": 0.5, "low": None, "high": None, "values": [0.5]}
    got = mean_interval(np.array([0.5, np.nan, 0.7]))
    np.testing.assert_allclose(got["mean"], 0.6)
    assert got["low"] < 0.6 < got["high"]
    assert mean_interval(np.array([np.nan]))["mean"] is None


def ends(values, limits):
    got = mean_interval(np.asarray(values), limits=limits)
    return np.array([got["low"], got["high"]])


def test_seen_losses_have_no_negative_end():
    """Of these three seeds the plain interval reaches below zero."""
    losses = np.array([0.034, 0.061, 0.124])
    assert ends(losses, FREE)[0] < 0
    low, high = ends(losses, POSITIVE)
    assert 0 < low < losses.mean() < high
    half = stats.t.ppf(0.975, 2) * losses.std(ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(
        np.log([low, high]), np.log(losses.mean()) + np.array([-1, 1]) * half / losses.mean()
    )


def test_shares_have_their_interval_on_the_logit_scale():
    shares = np.array([0.97, 1.0, 1.0, 0.96])
    assert ends(shares, FREE)[1] > 1
    m, half = shares.mean(), stats.t.ppf(0.975, 3) * stats.sem(shares)
    wanted = special.expit(special.logit(m) + np.array([-1, 1]) * half / (m * (1 - m)))
    np.testing.assert_allclose(ends(shares, SHARE), wanted)
    np.testing.assert_allclose(ends(100 * shares, (0.0, 100.0)), 100 * wanted)  # the unit does not matter
    np.testing.assert_allclose(ends(1 - shares, SHARE), 1 - wanted[::-1])  # nor which of two is counted


def test_one_upper_limit_is_one_lower_limit_mirrored():
    values = np.array([0.2, 0.5, 0.9])
    np.testing.assert_allclose(ends(values, (None, 1.0)), 1 - ends(1 - values, POSITIVE)[::-1])


@pytest.mark.parametrize("limits", [POSITIVE, SHARE, (None, 1.0)])
def test_far_from_its_limits_it_is_students(limits):
    values = 0.5 + 1e-4 * np.random.default_rng(1).normal(size=5)
    np.testing.assert_allclose(ends(values, limits), ends(values, FREE), atol=1e-7)


def test_equal_values_have_an_interval_of_no_width():
    for value in (0.0, 0.3, 1.0):
        assert ends([value] * 3, SHARE).tolist() == [value, value]
    assert ends([0.0, 0.0], POSITIVE).tolist() == [0.0, 0.0]


def test_limits_that_a_value_breaks_do_not_count():
    values = np.array([-0.1, 0.2, 0.3])
    np.testing.assert_array_equal(ends(values, POSITIVE), ends(values, FREE))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.sampled_from([POSITIVE, SHARE, (None, 1.0)]))
def test_it_holds_the_mean_and_never_leaves_the_limits(values, limits):
    low, high = ends(values, limits)
    mean = np.mean(values)
    assert low - 1e-12 <= mean <= high + 1e-12
    assert limits[0] is None or low >= limits[0]
    assert limits[1] is None or high <= limits[1]


DRAWN = {
    "losses, mildly skewed": (lambda r, shape: r.lognormal(0, 0.5, shape), np.exp(0.125), POSITIVE, 0.93),
    "losses, skewed": (lambda r, shape: r.exponential(1, shape), 1.0, POSITIVE, 0.92),
    "accuracies of 98%": (lambda r, shape: r.beta(98, 2, shape), 0.98, SHARE, 0.935),
    "accuracies of 90%": (lambda r, shape: r.beta(9, 1, shape), 0.9, SHARE, 0.93),
    "accuracies about a half": (lambda r, shape: r.beta(5, 5, shape), 0.5, SHARE, 0.94),
}


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize("name", DRAWN)
def test_it_covers_the_mean_at_least_as_often_as_the_plain_interval(name, seeds):
    draw, mean, limits, least = DRAWN[name]
    drawn = draw(np.random.default_rng(7), (1500, seeds))
    found = np.array([ends(values, limits) for values in drawn])
    plain = np.array([ends(values, FREE) for values in drawn])
    covered, before = (np.mean((e[:, 0] <= mean) & (mean <= e[:, 1])) for e in (found, plain))
    error = 3 * np.sqrt(0.05 * 0.95 / len(drawn))
    assert covered > least - error
    assert covered > before - 0.01


def test_what_the_metrics_of_runs_can_be():
    for name in ("accuracy", "exact_match", "mean_iou", "boundary_f", "sequence_error"):
        assert limits_of(name) == SHARE
    for name in ("absolute_error", "squared_error", "token_error", "absolute_error_standardized"):
        assert limits_of(name) == POSITIVE
    for loss in ("auto", "cross_entropy", "squared_error", "absolute_error", "pinball", "hinge", "brier"):
        assert limits_of("loss", loss) == POSITIVE
    for loss in ("gaussian_nll", "laplace_nll", "heteroscedastic_nll", "mixture_nll"):
        assert limits_of("loss", loss) == FREE
    assert limits_of("unheard_of") == FREE


def test_shares_of_examples_have_wilsons_interval():
    for right, n in ((0, 5), (3, 5), (20, 20), (97, 100)):
        low, high = share_interval(right / n, n)
        z, p = stats.norm.ppf(0.975), right / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        np.testing.assert_allclose([low, high], [middle - half, middle + half], atol=1e-12)
        assert 0 <= low <= p <= high <= 1
