"""Effects and their intervals against scipy's and statsmodels' formulas, and their coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlnotes.claims import (
    Above,
    Below,
    Interval,
    Within,
    exact,
    mean,
    median,
    paired,
    ratio,
    share,
)
from dlnotes.claims.rules import verdict_of


def test_wilson_is_the_closed_form():
    k, n, z = 7, 30, stats.norm.ppf(0.975)
    p = k / n
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    found = share(k, n)
    np.testing.assert_allclose(found[:3], [p, center - half, center + half])
    assert share(np.arange(n) < k)[:4] == found[:4]


def test_paired_is_the_mean_of_the_differences():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=12) * 10
    a, b = noise + rng.normal(0.5, 0.1, 12), noise
    assert paired(a, b)[:3] == mean(a - b)[:3]
    assert 0.3 < paired(a, b).low < 0.5 < paired(a, b).high < 0.7  # the shared noise does not count


def test_ratio_is_geometric():
    a, b = np.array([2.0, 8.0, 4.0]), np.array([1.0, 2.0, 4.0])
    assert ratio(a, b).value == pytest.approx(2.0)
    assert 1 / ratio(b, a).low == pytest.approx(ratio(a, b).high, rel=0.05)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_intervals_cover_the_truth(draw):
    """Of 400 samples of ten seeds about 95% of the intervals hold the true mean (plain bootstrap: 90%)."""
    rng = np.random.default_rng(0)
    samples = rng.normal(1, 1, (400, 10)) if draw == "normal" else rng.exponential(1, (400, 10))
    found = [mean(s) for s in samples]
    covered = np.mean([f.low <= 1 <= f.high for f in found])
    assert covered > (0.92 if draw == "normal" else 0.88)
    assert covered < 0.985


def test_equal_values_have_an_interval_of_no_width():
    assert mean([0.25] * 10)[:3] == (0.25, 0.25, 0.25)


def test_median_ignores_an_outlier():
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.01, 0.99, 1e9]
    assert median(values).value == pytest.approx(1.005)


def test_what_is_not_finite_decides_nothing():
    broken = mean([1.0, np.nan, 2.0])
    assert np.isnan(broken.value)
    assert {rule(broken) for rule in (Above(0), Below(0), Within(0, 1))} == {"inconclusive"}


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (mean, ([1.0],), "two seeds"),
        (paired, ([1.0, 2.0], [1.0]), "one of each per seed"),
        (ratio, ([1.0, -2.0], [1.0, 1.0]), "not positive"),
    ],
)
def test_wrong_values_are_refused(function, arguments, words):
    with pytest.raises(ValueError, match=words):
        function(*arguments)


@given(st.floats(-10, 10), st.floats(0, 5), st.floats(-10, 10))
def test_rules_decide_by_the_whole_interval(value, half, threshold):
    effect = Interval(value, value - half, value + half, 10, "")
    above, below = Above(threshold)(effect), Below(threshold)(effect)
    assert (above == "holds") == (effect.low > threshold)
    assert (below == "holds") == (effect.high < threshold)
    assert not (above == "holds" and below == "holds")
    assert (above == "fails") == (effect.high <= threshold)
    inside = Within(threshold - 1, threshold + 1)(effect)
    assert (inside == "fails") == (effect.high < threshold - 1 or effect.low > threshold + 1)


def test_an_exact_number_never_is_inconclusive():
    assert Below(1e-6)(exact(1e-9)) == "holds"
    assert Below(1e-6)(exact(1e-3)) == "fails"
    assert Within(2, 2)(exact(2)) == "holds"


def test_a_row_fails_with_any_part():
    assert verdict_of(["holds", "holds"]) == "holds"
    assert verdict_of(["holds", "inconclusive"]) == "inconclusive"
    assert verdict_of(["inconclusive", "fails", "holds"]) == "fails"
