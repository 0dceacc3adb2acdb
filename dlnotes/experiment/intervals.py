"""The mean of a few seeds with an interval that stays within what the quantity can be."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy import special  # scipy.stats takes a second to import

from dlnotes.formatting import bare_metric

Limits = tuple[float | None, float | None]
"""The least and the largest value that a quantity can have, ``None`` where there is none."""

FREE: Limits = (None, None)
POSITIVE: Limits = (0.0, None)
SHARE: Limits = (0.0, 1.0)

_LIMITS: dict[str, Limits] = {
    "accuracy": SHARE,
    "exact_match": SHARE,
    "mean_iou": SHARE,
    "boundary_f": SHARE,
    "entity_f1": SHARE,
    "entity_precision": SHARE,
    "entity_recall": SHARE,
    "sequence_error": SHARE,
    "token_error": POSITIVE,  # more symbols may be wrong than there are
    "macro_f1": SHARE,
    "micro_f1": SHARE,
    "label_accuracy": SHARE,
    "balanced_accuracy": SHARE,
    "auc": SHARE,
    "log_loss": POSITIVE,
    "calibration_error": SHARE,
    "threshold": SHARE,
    "precision": SHARE,
    "recall": SHARE,
    "f1": SHARE,
    "absolute_error": POSITIVE,
    "squared_error": POSITIVE,
    "root_mean_squared_error": POSITIVE,
    "standardized_absolute_error": POSITIVE,
    "grad_norm": POSITIVE,
    "bleu": (0.0, 100.0),
    "chrf": (0.0, 100.0),
    "r2": (None, 1.0),
    "interval_coverage": SHARE,
    "interval_nominal": SHARE,
    "interval_width": POSITIVE,
    "one_path_accuracy": SHARE,
    "load": SHARE,
    "saved_work": (None, 1.0),
    "blocks_on": SHARE,
    "experts_used": SHARE,
    "leaves_used": SHARE,
    "gate_entropy": POSITIVE,
    "path_entropy": POSITIVE,
}


def limits_of(metric: str, loss: str = "auto") -> Limits:
    """What a metric can be.

    Args:
      metric: its name; what follows a known name (``"absolute_error_standardized"``) has the limits of it.
      loss: the config's ``training.loss``. The negative logarithm of a density has no least value.

    Example:
      >>> limits_of("accuracy"), limits_of("loss", "mixture_nll"), limits_of("loss", "pinball")
      ((0.0, 1.0), (None, None), (0.0, None))
    """
    metric = bare_metric(metric)
    if metric == "loss":
        return FREE if loss.endswith("_nll") else POSITIVE
    known = [name for name in _LIMITS if metric == name or metric.startswith(f"{name}_")]
    return _LIMITS[max(known, key=len)] if known else FREE


def mean_interval(values: np.ndarray, *, confidence: float = 0.95, limits: Limits = FREE) -> dict[str, Any]:
    """The mean over seeds with Student's t interval ``x̄ ± t·s/√n``; no interval for one seed.

    Where the quantity has limits, the interval is Student's on a scale without any, carried back: the
    logarithm of the distance to the one limit, the logit between two. There ``g(x̄)`` has the standard error
    ``|g′(x̄)|·s/√n`` (delta method), so that the interval lies within the limits, holds the mean, and is the
    plain one where the limits are far away. For a positive quantity it is ``x̄·exp(±t·s/(x̄√n))``. Seeds
    of a loss or of an accuracy near 100% are skewed: there it covers the mean more often than the plain one.

    Args:
      values: ``(seeds,)``; not finite ones (of failed seeds) are left out and counted.
      confidence: of the interval.
      limits: of the quantity, see `limits_of`. They do not count where a value lies beyond them.

    Returns:
      ``{"mean", "low", "high", "values"}``; low and high are ``None`` where they do not exist.

    Example:
      >>> r = mean_interval(np.array([0.97, 0.98, 0.99]))
      >>> round(r["mean"], 3), round(r["low"], 3), round(r["high"], 3)
      (0.98, 0.955, 1.005)
      >>> r = mean_interval(np.array([0.97, 0.98, 0.99]), limits=(0.0, 1.0))
      >>> round(r["low"], 3), round(r["high"], 3)
      (0.932, 0.994)
    """
    values = np.asarray(values, np.float64)
    good = values[np.isfinite(values)]
    result: dict[str, Any] = {
        "mean": float(good.mean()) if good.size else None,
        "low": None,
        "high": None,
        "values": [float(v) for v in values],
    }
    if good.size > 1:
        half = _quantile(confidence, good.size - 1) * good.std(ddof=1) / np.sqrt(good.size)
        result["low"], result["high"] = _ends(result["mean"], float(half), good, limits)
    return result


@cache
def _quantile(confidence: float, freedom: int) -> float:
    """How many standard errors Student's interval reaches to each side; a figure asks for it often."""
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def _ends(mean: float, half: float, values: np.ndarray, limits: Limits) -> tuple[float, float]:
    """The ends of ``mean ± half`` on the scale that the limits ask for."""
    low, high = limits
    beyond = (low is not None and values.min() < low) or (high is not None and values.max() > high)
    # All values alike have an interval of no width; where the mean is a limit, they are all alike.
    if half == 0 or beyond or limits == FREE or mean in limits:
        return mean - half, mean + half
    if low is not None and high is not None:
        odds, factor = (mean - low) / (high - mean), half * (high - low) / ((mean - low) * (high - mean))
        ends = (_share(odds, -factor), _share(odds, factor))
        return low + (high - low) * ends[0], low + (high - low) * ends[1]
    if low is not None:
        above = mean - low
        return low + above * float(np.exp(-half / above)), low + above * float(np.exp(half / above))
    assert high is not None
    below = high - mean
    return high - below * float(np.exp(half / below)), high - below * float(np.exp(-half / below))


def _share(odds: float, shift: float) -> float:
    """The share whose log-odds are ``log odds + shift``."""
    return float(1 / (1 + np.exp(-np.log(odds) - shift)))


def share_interval(share: float, examples: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of so many examples, which lies within 0 and 1.

    Args:
      share: of the examples, from 0 to 1.
      examples: how many there are.
      confidence: of the interval.

    Example:
      >>> low, high = share_interval(1.0, 20)
      >>> round(low, 3), high
      (0.839, 1.0)
    """
    z = float(special.ndtri(0.5 + confidence / 2))
    p = round(float(share) * examples) / examples
    middle, half = p + z**2 / (2 * examples), z * np.sqrt(p * (1 - p) / examples + (z / examples) ** 2 / 4)
    low, high = (middle - half) / (1 + z**2 / examples), (middle + half) / (1 + z**2 / examples)
    return max(0.0, float(low)), min(1.0, float(high))
