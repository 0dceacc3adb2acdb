"""How good intervals are: what share of the truth lies in them, and how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
