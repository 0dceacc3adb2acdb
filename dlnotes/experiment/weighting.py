"""Weights of classes and of examples: beside the targets in training, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dlnotes.checks import did_you_mean
from dlnotes.config import Config
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.weighted_rows import weights_of
from dlnotes.outputs.losses import LossFn
from dlnotes.outputs.weighted import balanced, join_weights, parted, unweighted, weighted


def _of(dataset: Dataset) -> dict[str, Any]:
    return {"classes": dataset.task == "classification", "outputs": dataset.outputs}


def has_weights(config: Config) -> bool:
    """Whether the training weighs its examples."""
    return config.training.class_weight is not None or getattr(config.data, "weight", None) is not None


def with_weights(config: Config, dataset: Dataset) -> Dataset:
    """The data set with the weights of the training part beside its targets, where it has some.

    Raises:
      ValueError: when [training] class_weight does not fit the classes.
    """
    class_weights(config, dataset)
    weights, train = weights_of(dataset), dataset.train
    if weights is None:
        return dataset
    return replace(dataset, train=train._replace(y=join_weights(np.asarray(train.y), weights)))


def plain_part(dataset: Dataset, name: str) -> Examples:
    """A split without weights beside its targets."""
    part = dataset.split(name)
    if weights_of(dataset) is None:
        return part
    return part._replace(y=parted(part.y, **_of(dataset))[0])


def class_weights(config: Config, dataset: Dataset) -> list[float] | None:
    """The weight of each class, ``None`` where all count alike; their mean over the training part is 1.

    Raises:
      ValueError: when the data have no classes, or a name is not one of them.
    """
    given = config.training.class_weight
    if given is None:
        return None
    where = f"training.class_weight: got {given!r}"
    if dataset.task != "classification":
        raise ValueError(f"{where}, {dataset.name} has {dataset.task} targets, which have no classes")
    y = np.asarray(parted(np.asarray(dataset.train.y), **_of(dataset))[0])
    if dataset.missing:
        return [1.0] * dataset.outputs  # nothing is trained
    if isinstance(given, str):
        return balanced(y, dataset.outputs)
    for name in given:
        if name not in dataset.classes:
            hint = did_you_mean(name, dataset.classes)
            raise ValueError(
                f"training.class_weight: got {name!r}, the classes of {dataset.name} are "
                f"{', '.join(dataset.classes)}{hint}"
            )
    found = np.array([given.get(name, 1.0) for name in dataset.classes])
    mean = found[y[y >= 0]].mean()
    if not mean > 0:
        raise ValueError(f"{where}, every training example would have the weight 0")
    return (found / mean).tolist()


def training_loss(config: Config, dataset: Dataset, loss: LossFn) -> LossFn:
    """The loss with the weights that the config asks for."""
    return weighted(loss, **_of(dataset), class_weights=class_weights(config, dataset))


def plain_measure(dataset: Dataset, measure: LossFn) -> LossFn:
    """A loss or metric that leaves the weights out."""
    return unweighted(measure, **_of(dataset))
