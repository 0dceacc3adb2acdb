"""The metrics of a finished training: of every split, with those that need a whole data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.data.table_targets import LABELS, kind_of
from dlnotes.data.tasks import TaskDataset, labeled
from dlnotes.experiment.class_quality import class_quality, threshold_quality, thresholds
from dlnotes.experiment.decoding import decoding_metrics, references_of
from dlnotes.experiment.entities import entity_quality, scheme_of
from dlnotes.experiment.forecast_quality import interval_quality
from dlnotes.experiment.label_quality import multi_label_quality
from dlnotes.experiment.objective import unit_of
from dlnotes.experiment.one_task import by_task
from dlnotes.experiment.routing import routing_metrics
from dlnotes.experiment.weighting import plain_part
from dlnotes.outputs.segmentation import boundary_f, confusion, mean_iou
from dlnotes.training.state import Member

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator

TOLERANCE = 1
"""Pixels by which a boundary may be off."""


def label_quality(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """Mean intersection over union and boundary F of every member, each ``(members,)``.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: with classes of pixels as targets.
    """
    y, k = np.asarray(examples.y), evaluator.setup.dataset.outputs
    labels = evaluator.predict(members, examples, classes=True)
    return {
        "mean_iou": np.array([mean_iou(confusion(each, y, k)) for each in labels]),
        "boundary_f": np.array([boundary_f(each, y, k, tolerance=TOLERANCE) for each in labels]),
    }


def regression_quality(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """How good the predicted numbers of every member are, beside the absolute error, each ``(members,)``.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: with standardized numbers as targets.

    Returns:
      "root_mean_squared_error" in the target's own units; "r2", ``1 − Σe²/Σ(y − ȳ)²``, the mean over
      outputs, where the targets differ; where the target is standardized, "standardized_absolute_error", in
      standard deviations; and those of `dlnotes.experiment.forecast_quality.interval_quality`.
    """
    dataset = evaluator.setup.dataset
    spread = unit_of(evaluator.setup.group.config, dataset)
    outputs = evaluator.predict(members, examples)
    told = interval_quality(evaluator, outputs, examples)
    if spread is not None:
        outputs = np.asarray(spread.distribution(jnp.asarray(outputs)).mean)
    y = np.asarray(examples.y, np.float64)
    scale = 1.0 if dataset.standardize_y is None else dataset.standardize_y.scale.astype(np.float64)
    with np.errstate(all="ignore"):  # members that failed
        error = outputs.astype(np.float64).reshape(-1, *y.shape) - y
        squares = np.square(error).mean(axis=1)
        found = {"root_mean_squared_error": np.sqrt((squares * scale**2).mean(axis=-1))}
        if np.ptp(y, axis=0).all():
            found["r2"] = (1 - squares / y.var(axis=0)).mean(axis=-1)
    if dataset.standardize_y is not None:
        found["standardized_absolute_error"] = np.abs(error).mean(axis=(1, 2))
    return found | told


def number_quality(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """`regression_quality` of numbers, `multi_label_quality` where they are labels.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: with numbers as targets.
    """
    if kind_of(evaluator.setup.dataset) == LABELS:
        return multi_label_quality(evaluator, members, examples)
    return regression_quality(evaluator, members, examples)


def task_quality(
    evaluator: Evaluator, members: Member, parts: Callable[[str], Examples | None]
) -> dict[str, np.ndarray]:
    """Of every task what needs a whole part, by `regression_quality` or `class_quality`, each ``(members,)``.

    Args:
      evaluator: of the members.
      members: trained ones.
      parts: the examples of a task that have its target, ``None`` where there are none.
    """

    def measure(alone: Evaluator, name: str) -> Mapping[str, np.ndarray]:
        whole = evaluator.setup.dataset
        assert isinstance(whole, TaskDataset)
        kind = whole.facts(name).kind
        if kind == "reconstruction" or (part := parts(name)) is None:
            return {}
        measured = regression_quality if kind == "regression" else class_quality
        return measured(alone, members, part)

    return by_task(measure, evaluator)


def final_metrics(
    evaluator: Evaluator, members: Member, *, chosen: bool = False
) -> dict[str, dict[str, np.ndarray]]:
    """Metrics of every split that exists but the training part, which the log has: split → metric → members.

    Args:
      evaluator: of the members.
      members: trained ones.
      chosen: whether one of several settings will be chosen: without a validation part, on the training part.
    """
    dataset = evaluator.setup.dataset
    names = [n for n in ("validation", "test") if getattr(dataset, n) is not None]
    if not names or (chosen and "validation" not in names):
        names.append("train")
    found = {name: evaluator.evaluate(members, name) for name in names}
    for name, metrics in found.items():
        metrics |= routing_metrics(evaluator, members, plain_part(dataset, name))
    if isinstance(dataset, TaskDataset):
        for name, metrics in found.items():
            metrics |= task_quality(evaluator, members, partial(labeled, dataset, dataset.split(name)))
        return found
    if dataset.task == "pixels":
        for name, metrics in found.items():
            metrics |= label_quality(evaluator, members, plain_part(dataset, name))
    if dataset.task == "classification":
        decision = evaluator.setup.group.config.decision
        at = None if decision is None else thresholds(evaluator, members)
        for name, metrics in found.items():
            metrics |= class_quality(evaluator, members, plain_part(dataset, name))
            if at is not None:
                metrics |= threshold_quality(evaluator, members, plain_part(dataset, name), at)
    if dataset.task == "regression":
        for name, metrics in found.items():
            metrics |= number_quality(evaluator, members, plain_part(dataset, name))
    if scheme_of(dataset):
        for name, metrics in found.items():
            metrics |= entity_quality(evaluator, members, plain_part(dataset, name))
    if dataset.input == "pair":
        split = "test" if "test" in found else next(iter(found))
        references, how = references_of(dataset, split), evaluator.setup.group.config.decoding
        found[split] |= decoding_metrics(evaluator, members, dataset.split(split), references, how)
    return found
