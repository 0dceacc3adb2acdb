"""What a run is scored by: the output unit, the loss and the metrics that fit a task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import reading_of
from dlnotes.data.table_targets import COUNTS as TABLE_COUNTS
from dlnotes.data.table_targets import LABELS, kind_of
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
from dlnotes.outputs.counts import COUNTS, count_unit
from dlnotes.outputs.losses import target_count
from dlnotes.outputs.quantiles import quantile_loss, quantiles_of
from dlnotes.typing import Array


def unit_of(config: Config, dataset: Dataset) -> Unit | None:
    """The output unit whose numbers the network gives, ``None`` where it gives the prediction itself."""
    name = config.training.loss.removesuffix("_nll")
    if name == "quantiles":
        levels = config.training.quantiles
        return Unit(dataset.outputs * len(levels), partial(quantiles_of, levels=levels))
    name = loss_name(config, dataset).removesuffix("_nll")
    if name == "bernoulli":
        return Unit(dataset.outputs, SoftBernoulli)
    if name in COUNTS:
        return count_unit(name, dataset.outputs, level=reading_of(dataset).get("level"))
    if name not in UNITS:
        return None
    components = config.training.components or 5
    return unit(name, dataset.outputs, components=components, floor=config.training.spread_floor)


OF_CLASSES = ("cross_entropy", "hinge", "brier")
"""The losses of classes; the others are of numbers."""


def loss_name(config: Config, dataset: Dataset) -> str:
    """The config's name of the loss.

    ``auto`` is cross-entropy for classes, squared error for numbers, of labels the negative log-likelihood of
    a Bernoulli distribution each, of counts that of a Poisson distribution.
    """
    if config.training.loss != "auto":
        return config.training.loss
    of_tables = {LABELS: "bernoulli_nll", TABLE_COUNTS: "poisson_nll"}
    plain = "squared_error" if dataset.task == "regression" else "cross_entropy"
    return of_tables.get(kind_of(dataset), plain)


def loss_of(config: Config, dataset: Dataset) -> LossFn:
    """The evaluation loss.

    Raises:
      ValueError: when the loss and the task do not fit.
    """
    name = loss_name(config, dataset)
    if (name in OF_CLASSES) == (dataset.task == "regression"):
        raise ValueError(f"training.loss: got {name!r}, which does not fit {dataset.task} on {dataset.name}")
    if kind_of(dataset) == LABELS and name != "bernoulli_nll":
        raise ValueError(
            f"training.loss: got {name!r}, {dataset.name} has several labels, allowed are auto, bernoulli_nll"
        )
    if name == "bernoulli_nll":
        _check_chances(dataset)
    if name == "quantiles":
        return partial(quantile_loss, levels=config.training.quantiles)
    if name.removesuffix("_nll") in COUNTS:
        _check_counts(name, dataset)
    quantile, spread = config.training.quantile, unit_of(config, dataset)
    if spread is not None:
        return partial(likelihood, spread.distribution)
    return LOSSES[name] if quantile is None else partial(pinball, quantile=quantile)


def _check_chances(dataset: Dataset) -> None:
    y = np.asarray(dataset.train.y)[:, : dataset.outputs]
    low, high = float(y.min()), float(y.max())
    if not (low >= 0 and high <= 1):
        how = "" if dataset.standardize is None else "; data.standardize = false leaves images in [0, 1]"
        raise ValueError(
            f"training.loss: got 'bernoulli_nll' for targets of {dataset.name} in [{low:.4g}, {high:.4g}], "
            f"allowed are targets in [0, 1]{how}"
        )


def _check_counts(name: str, dataset: Dataset) -> None:
    if dataset.standardize_y is not None:
        raise ValueError(
            f"training.loss: got {name!r}, the targets of {dataset.name} are standardized; data.task = "
            '"counts" of a table, or data.standardize = false, leaves counts as they are'
        )
    y = np.asarray(dataset.train.y)[:, : dataset.outputs]
    wrong = np.isfinite(y) & ((y < 0) | (y != np.floor(y)))
    if wrong.any():
        raise ValueError(
            f"training.loss: got {name!r}, {dataset.name} has the target {y[wrong][0]:g}; counts are whole "
            "numbers from 0"
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
    if kind_of(dataset) == LABELS:
        return {"label_accuracy": partial(_label_accuracy)}
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


def _label_accuracy(logits: Array, y: Array) -> PerExample:
    """The share of an example's labels that are right, taken where they are at least as likely as not."""
    right = ((logits >= 0) == (y > 0.5)).astype(np.float32)
    return PerExample(right.mean(axis=-1), target_count(y))


def _of_mean(distribution: Callable, metric: LossFn, raw: Array, y: Array) -> PerExample:
    return metric(distribution(raw).mean, y)
