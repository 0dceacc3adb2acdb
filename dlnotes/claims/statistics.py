"""Effects with their intervals, computed by scipy.

Which statistic, and why:

* A quantity measured once per seed: the bias-corrected accelerated **bootstrap** of its mean or
  median, because seeds are few and their distribution is anything but normal. With ten seeds the
  plain bootstrap interval is too short (it covers 90% instead of 95%), so the confidence level asked
  of scipy is widened as Hesterberg (2015) proposes: by the ratio of Student's to the normal quantile
  and by √(n/(n − 1)).
* Two settings: the bootstrap of the **paired** difference (or log ratio) over the same seeds, because
  the same start, data and order make the pairs alike and their difference far less noisy.
* A share of successes: **Wilson's** interval, which stays inside [0, 1] and is honest at 0 and 1.
  Where several settings share their starts, the starts are counted, not the trials (`share_of_groups`).
* Random **re-splits** of one table overlap, so their spread is too small: Nadeau and Bengio's (2003)
  corrected t interval (`resplit`).
* A difference on a **small test set**: an interval over seeds and test cases (`over_cases`).
* Closed forms and counts have no sampling error: `exact`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, SupportsFloat

import numpy as np

LEVEL = 0.95
_RESAMPLES = 9999


class Interval(NamedTuple):
    """An effect and its 95% interval.

    Attributes:
      value: the estimate.
      low, high: the interval; equal to ``value`` for an exact number.
      n: how many measurements it rests on.
      method: how the interval was made, in words.
    """

    value: float
    low: float
    high: float
    n: int
    method: str


def exact(value: SupportsFloat, n: int = 1) -> Interval:
    """A number without sampling error.

    Args:
      value: the number; for "all of these agree" the largest deviation.
      n: how many cases it was taken over.
    """
    value = float(value)
    return Interval(value, value, value, n, "exact")


def mean(values: Any) -> Interval:
    """The mean of one value per seed, with its bootstrap interval.

    Args:
      values: ``(seeds,)``; one that is not finite makes the result NaN.

    Example:
      >>> effect = mean([1.0, 2.0, 3.0, 4.0])
      >>> effect.value, effect.n
      (2.5, 4)
    """
    return _bootstrap(values, np.mean, "mean")


def median(values: Any) -> Interval:
    """The median of one value per seed, with its bootstrap interval; for heavy tails."""
    return _bootstrap(values, np.median, "median")


def paired(a: Any, b: Any) -> Interval:
    """The mean of ``a − b`` over the same seeds.

    Args:
      a, b: ``(seeds,)`` each, the same seed at the same place.

    Raises:
      ValueError: when they are not equally long.
    """
    a, b = _pairs(a, b)
    return _bootstrap(a - b, np.mean, "paired mean difference")


def ratio(a: Any, b: Any) -> Interval:
    """The geometric mean of ``a / b`` over the same seeds; both positive.

    Raises:
      ValueError: when they are not equally long, or not positive.
    """
    a, b = _pairs(a, b)
    if np.any(a <= 0) or np.any(b <= 0):
        raise ValueError("ratio: got a value that is not positive, its logarithm is needed")
    logs = _bootstrap(np.log(a) - np.log(b), np.mean, "paired mean log ratio")
    value, low, high = (float(np.exp(v)) for v in logs[:3])
    return Interval(value, low, high, logs.n, logs.method)


def share(successes: Any, trials: int | None = None) -> Interval:
    """A share of successes with Wilson's interval.

    Args:
      successes: their number, or an array of booleans (then ``trials`` is its size).
      trials: how many there were.

    Example:
      >>> low, high = share(10, 10)[1:3]
      >>> round(low, 3), high
      (0.722, 1.0)
    """
    from scipy.stats import binomtest

    if trials is None:
        flags = np.asarray(successes, bool).reshape(-1)
        successes, trials = int(flags.sum()), flags.size
    found = binomtest(int(successes), trials)
    ci = found.proportion_ci(LEVEL, method="wilson")
    return Interval(float(successes) / trials, float(ci.low), float(ci.high), trials, "Wilson, 95%")


def share_of_groups(successes: Any) -> Interval:
    """A share of successes whose trials come in groups, such as several settings from the same start.

    Groups are what is independent: the bootstrap draws groups. Where every group has the same share,
    it is Wilson's interval with one trial per group.

    Args:
      successes: ``(groups, trials of each)`` booleans.

    Example:
      >>> share_of_groups([[True, True], [True, True], [True, True]]).n
      3
    """
    flags = np.asarray(successes, bool)
    if flags.ndim != 2:
        raise ValueError(f"successes: got shape {flags.shape}, needed is (groups, trials of each)")
    rates = flags.mean(1)
    if np.ptp(rates) == 0 and rates[0] in (0.0, 1.0):
        return share(rates == 1.0)
    return _bootstrap(rates, np.mean, "mean share of a group")._replace(
        method="bootstrap over groups of trials that share a start, 95%"
    )


def resplit(differences: Any, test_over_train: float) -> Interval:
    """The mean over random re-splits of one data set, whose training and test parts overlap.

    Nadeau and Bengio's (2003) variance, ``s² (1/n + n_test/n_train)``, and Student's t.

    Args:
      differences: ``(splits,)``, such as the difference of two methods' errors on each.
      test_over_train: test cases per training case of a split.

    Raises:
      ValueError: with fewer than two splits.

    Example:
      >>> effect = resplit([0.1, 0.2, 0.3, 0.2], test_over_train=0.25)
      >>> round(effect.value, 2), round(effect.high - effect.value, 3)
      (0.2, 0.184)
    """
    from scipy import stats

    values = np.asarray(differences, np.float64).reshape(-1)
    n = values.size
    if n < 2:
        raise ValueError(f"differences: got {n}, at least two splits are needed for an interval")
    value = float(values.mean())
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + test_over_train))
    return Interval(value, value - half, value + half, n, "corrected t over re-splits (Nadeau–Bengio), 95%")


def over_cases(values: Any) -> Interval:
    """The mean of a value per seed and test case, over new seeds and new test cases.

    The variance is ``s²_seeds/S + s²_cases/C`` of the two means, which counts their interaction twice and
    so is a little too large; Student's t with the fewer degrees of freedom.

    Args:
      values: ``(seeds, cases)``, such as whether a network is right minus whether its rival is.

    Raises:
      ValueError: with fewer than two seeds or cases.

    Example:
      >>> effect = over_cases([[1, 0, 1, 1], [1, 0, 1, 0], [1, 1, 1, 0]])
      >>> round(effect.value, 3), effect.n
      (0.667, 12)
    """
    from scipy import stats

    values = np.asarray(values, np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"values: got shape {values.shape}, needed are two seeds and two cases or more")
    seeds, cases = values.shape
    spread = values.mean(1).var(ddof=1) / seeds + values.mean(0).var(ddof=1) / cases
    half = float(stats.t.ppf(0.5 + LEVEL / 2, min(seeds, cases) - 1) * np.sqrt(spread))
    value = float(values.mean())
    return Interval(
        value, value - half, value + half, values.size, f"t over {seeds} seeds and {cases} test cases, 95%"
    )


def _pairs(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
    if a.shape != b.shape:
        raise ValueError(f"a, b: got {a.size} and {b.size} values, needed is one of each per seed")
    return a, b


def _bootstrap(values: Any, statistic: Any, what: str) -> Interval:
    from scipy import stats

    values = np.asarray(values, np.float64).reshape(-1)
    n, method = values.size, f"bootstrap of the {what} over seeds, 95%"
    if n < 2:
        raise ValueError(f"values: got {n}, at least two seeds are needed for an interval")
    if not np.all(np.isfinite(values)):
        return Interval(float("nan"), float("nan"), float("nan"), n, method)
    value = float(statistic(values))
    if np.ptp(values) <= 1e-12 * max(1.0, abs(value)):  # no spread: nothing to resample
        return Interval(value, value, value, n, method)
    wider = np.sqrt(n / (n - 1)) * stats.t.ppf(0.5 + LEVEL / 2, n - 1)
    found = stats.bootstrap(
        (values,),
        statistic,
        confidence_level=float(1 - 2 * stats.norm.sf(wider)),
        n_resamples=_RESAMPLES,
        # Of two values the widened level is 1: the interval from one to the other, where BCa gives NaN.
        method="percentile" if statistic is np.median or n == 2 else "BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high), n, method)
