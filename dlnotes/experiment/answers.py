"""The numbers that a regression's outputs stand for, in the target's own units."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.objective import unit_of
from dlnotes.outputs import Mixture
from dlnotes.outputs.quantiles import Quantiles


def values_of(config: Config, dataset: Dataset, outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Predicted numbers; with their spread or their quantiles where the network gives them.

    Args:
      config: of the run.
      dataset: for the scale of the target.
      outputs: ``(n, …)`` of one member.

    Returns:
      ``(n, outputs)`` each: "value"; of a distribution "deviation" and, of a mixture, "most_likely"; of
      quantiles those, "q0.1".
    """
    scale, spread = dataset.standardize_y, unit_of(config, dataset)
    if spread is None:
        return {"value": outputs if scale is None else scale.inverse(outputs)}
    given = spread.distribution(jnp.asarray(outputs))
    found = {"value": np.asarray(given.mean)}
    if isinstance(given, Quantiles):
        for i, level in enumerate(config.training.quantiles):
            if i != given.middle:  # which is the value itself
                found[f"q{level:g}"] = np.asarray(given.values[..., i])
        return {k: v if scale is None else scale.inverse(v) for k, v in found.items()}
    found["deviation"] = np.sqrt(np.asarray(given.variance))
    if isinstance(given, Mixture):
        found["most_likely"] = np.asarray(given.mode)
    if scale is None:
        return found
    return {k: v * scale.scale if k == "deviation" else scale.inverse(v) for k, v in found.items()}
