"""How good forecasts are: what share of the truth lies in the interval, and the error row by row ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.experiment.objective import unit_of
from dlnotes.outputs.quantiles import Quantiles

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator


def interval_quality(evaluator: Evaluator, outputs: np.ndarray, examples: Examples) -> dict[str, np.ndarray]:
    """Whether learned quantiles mean what they say, each ``(members,)``; nothing where none are learned.

    Args:
      evaluator: of the members.
      outputs: ``(members, n, …)`` of the network.
      examples: with standardized numbers as targets.

    Returns:
      "interval_coverage", the share of targets between the least and the greatest quantile;
      "interval_nominal", the share that they promise; "interval_width", the mean distance between them in the
      target's own units.
    """
    config, dataset = evaluator.setup.group.config, evaluator.setup.dataset
    spread = unit_of(config, dataset)
    given = None if spread is None else spread.distribution(jnp.asarray(outputs))
    if not isinstance(given, Quantiles):
        return {}
    values, levels = np.asarray(given.values, np.float64), config.training.quantiles
    if len(levels) < 2:
        return {}
    low, high, y = values[..., 0], values[..., -1], np.asarray(examples.y, np.float64)[None]
    scale = 1.0 if dataset.standardize_y is None else dataset.standardize_y.scale.astype(np.float64)
    with np.errstate(all="ignore"):  # members that failed
        return {
            "interval_coverage": ((low <= y) & (y <= high)).mean(axis=(1, 2)),
            "interval_nominal": np.full(len(values), levels[-1] - levels[0]),
            "interval_width": ((high - low) * scale).mean(axis=(1, 2)),
        }


def errors_by_step(truth: np.ndarray, value: np.ndarray) -> dict[str, np.ndarray]:
    """Errors of forecasts from many origins by how far ahead they are, each ``(ahead, targets)``.

    Args:
      truth: ``(origins, ahead, targets)``, NaN where it is not known.
      value: the same, forecast.

    Returns:
      "origins", how many have a truth; "absolute_error" and "root_mean_squared_error" over them.
    """
    known = np.isfinite(truth)
    error = np.where(known, value - truth, 0.0)
    count = known.sum(axis=0)
    shared: dict[str, Any] = {"origins": count}
    with np.errstate(all="ignore"):
        shared["absolute_error"] = np.abs(error).sum(axis=0) / count
        shared["root_mean_squared_error"] = np.sqrt(np.square(error).sum(axis=0) / count)
    return shared
