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
* Closed forms and counts have no sampling error: `exact`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


def exact(value: float, n: int = 1) -> Interval:
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
        method="percentile" if statistic is np.median else "BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high), n, method)
