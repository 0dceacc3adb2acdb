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
    over_cases,
    paired,
    ratio,
    resplit,
    share,
    share_of_groups,
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


def test_two_values_give_the_interval_between_them():
    assert mean([1.0, 0.9])[1:3] == (0.9, 1.0)
    assert median([1.0, 0.9])[1:3] == (0.9, 1.0)
    assert np.isfinite(mean([1.0, 0.9, 0.5]).low)


def test_median_ignores_an_outlier():
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.01, 0.99, 1e9]
    assert median(values).value == pytest.approx(1.005)


def test_what_is_not_finite_decides_nothing():
    broken = mean([1.0, np.nan, 2.0])
    assert np.isnan(broken.value)
    assert {rule(broken) for rule in (Above(0), Below(0), Within(0, 1))} == {"open"}


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


def test_an_exact_number_never_is_open():
    assert Below(1e-6)(exact(1e-9)) == "holds"
    assert Below(1e-6)(exact(1e-3)) == "fails"
    assert Within(2, 2)(exact(2)) == "holds"


def test_a_row_fails_with_any_part():
    assert verdict_of(["holds", "holds"]) == "holds"
    assert verdict_of(["holds", "open"]) == "open"
    assert verdict_of(["open", "fails", "holds"]) == "fails"


def covered(interval, draws: int, truth: float, seed: int) -> float:
    """How often an interval of drawn data holds the truth."""
    rng = np.random.default_rng(seed)
    found = [interval(rng) for _ in range(draws)]
    return float(np.mean([e.low <= truth <= e.high for e in found]))


def test_trials_that_share_a_start_count_once():
    """Ten settings of one start agree: 40 starts are 40 trials, not 400."""

    def draw(rng):
        return np.repeat(rng.random((40, 1)) < 0.3, 10, axis=1)

    assert covered(lambda rng: share_of_groups(draw(rng)), 200, 0.3, 0) > 0.9
    assert covered(lambda rng: share(draw(rng)), 200, 0.3, 0) < 0.6
    assert share_of_groups(draw(np.random.default_rng(0))).n == 40
    all_right = share_of_groups(np.ones((20, 5), bool))
    assert all_right[:3] == share(20, 20)[:3]
    assert share_of_groups(np.zeros((20, 5), bool)).value == 0


def test_overlapping_resplits_are_corrected():
    """Against Nadeau and Bengio's formula by hand, and against the plain t interval."""
    values = np.array([0.2, 0.5, 0.1, 0.4, 0.3])
    found = resplit(values, test_over_train=0.25)
    half = stats.t.ppf(0.975, 4) * np.sqrt(values.var(ddof=1) * (1 / 5 + 0.25))
    np.testing.assert_allclose(found[:3], (0.3, 0.3 - half, 0.3 + half))
    plain = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert found.high - found.low > plain[1] - plain[0]
    np.testing.assert_allclose(resplit(values, 0.0)[1:3], plain)


def test_an_interval_over_test_cases_covers_new_ones():
    """Seeds and cases each shift the values: an interval over seeds alone is far too short."""

    def draw(rng):
        return 0.2 * rng.normal(size=(10, 1)) + rng.normal(size=(1, 60)) + 0.5 * rng.normal(size=(10, 60))

    assert covered(lambda rng: over_cases(draw(rng)), 400, 0.0, 0) > 0.94
    assert covered(lambda rng: mean(draw(rng).mean(1)), 100, 0.0, 0) < 0.8
    assert over_cases(draw(np.random.default_rng(0))).n == 600


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (share_of_groups, ([True, False],), "trials of each"),
        (resplit, ([0.1], 0.25), "two splits"),
        (over_cases, ([[0.1, 0.2]],), "two seeds and two cases"),
    ],
)
def test_wrong_shapes_are_refused(function, arguments, words):
    with pytest.raises(ValueError, match=words):
        function(*arguments)
