"""What a run is scored by: the output unit, the loss and the metrics that fit a task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.outputs import (
    LOSSES,
    METRICS,
    UNITS,
    LossFn,
    PerExample,
    SoftBernoulli,
    Unit,
    likelihood,
    pinball,
    unit,
)
from dlnotes.outputs.quantiles import quantile_loss, quantiles_of
from dlnotes.typing import Array


def unit_of(config: Config, dataset: Dataset) -> Unit | None:
    """The output unit whose numbers the network gives, ``None`` where it gives the prediction itself."""
    name = config.training.loss.removesuffix("_nll")
    if name == "quantiles":
        levels = config.training.quantiles
        return Unit(dataset.outputs * len(levels), partial(quantiles_of, levels=levels))
    if name == "bernoulli":
        return Unit(dataset.outputs, SoftBernoulli)
    if name not in UNITS:
        return None
    components = config.training.components or 5
    return unit(name, dataset.outputs, components=components, floor=config.training.spread_floor)


OF_CLASSES = ("cross_entropy", "hinge", "brier")
"""The losses of classes; the others are of numbers."""


def loss_name(config: Config, dataset: Dataset) -> str:
    """The config's name of the loss; ``auto`` is cross-entropy for classes, squared error for numbers."""
    if config.training.loss != "auto":
        return config.training.loss
    return "squared_error" if dataset.task == "regression" else "cross_entropy"


def loss_of(config: Config, dataset: Dataset) -> LossFn:
    """The evaluation loss.

    Raises:
      ValueError: when the loss and the task do not fit.
    """
    name = loss_name(config, dataset)
    if (name in OF_CLASSES) == (dataset.task == "regression"):
        raise ValueError(f"training.loss: got {name!r}, which does not fit {dataset.task} on {dataset.name}")
    if name == "bernoulli_nll":
        _check_chances(dataset)
    if name == "quantiles":
        return partial(quantile_loss, levels=config.training.quantiles)
    quantile, spread = config.training.quantile, unit_of(config, dataset)
    if spread is not None:
        return partial(likelihood, spread.distribution)
    return LOSSES[name] if quantile is None else partial(pinball, quantile=quantile)


def _check_chances(dataset: Dataset) -> None:
    y = np.asarray(dataset.train.y)
    low, high = float(y.min()), float(y.max())
    if not (low >= 0 and high <= 1):
        how = "" if dataset.standardize is None else "; data.standardize = false leaves images in [0, 1]"
        raise ValueError(
            f"training.loss: got 'bernoulli_nll' for targets of {dataset.name} in [{low:.4g}, {high:.4g}], "
            f"allowed are targets in [0, 1]{how}"
        )


def metrics_of(dataset: Dataset, spread: Unit | None = None) -> dict[str, LossFn]:
    """The metrics of a task by name; of the distribution's mean where the network gives one.

    Those of a regression are in the target's own units, while the loss is of the standardized target.
    """
    names = {
        "classification": ("accuracy",),
        "regression": ("absolute_error",),
        "pixels": ("accuracy",),
        "tokens": ("accuracy", "exact_match") if dataset.input == "pair" else ("accuracy",),
    }[dataset.task]
    found = {name: METRICS[name] for name in names}
    if dataset.standardize_y is not None:
        scale = np.asarray(dataset.standardize_y.scale, np.float32)[None]
        found = {name: partial(_in_units, scale, metric) for name, metric in found.items()}
    if spread is None:
        return found
    mean = partial(_of_mean, spread.distribution)
    return {name: partial(mean, metric) for name, metric in found.items()}


def _in_units(scale: np.ndarray, metric: LossFn, prediction: Array, y: Array) -> PerExample:
    """The metric of an error, which is as good without the means: no large number loses its last digits.

    The scale is ``(1, outputs)``.
    """
    return metric(prediction.astype(np.float32) * scale, y * scale)


def _of_mean(distribution: Callable, metric: LossFn, raw: Array, y: Array) -> PerExample:
    return metric(distribution(raw).mean, y)
