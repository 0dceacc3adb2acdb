"""Several tasks in a run: their data, network, loss and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dlnotes import models
from dlnotes.config import Config
from dlnotes.config.tasks import INPUTS, Representation, Task
from dlnotes.data.dataset import Dataset
from dlnotes.data.tasks import TaskDataset, Wanted, of_one, of_tasks
from dlnotes.experiment.objective import loss_of, metrics_of, unit_of
from dlnotes.models.model import Model
from dlnotes.outputs import LossFn, joint_loss, of_task


def wanted_of(config: Config) -> dict[str, Wanted]:
    """What the tasks of a config ask of the data."""
    return {
        name: Wanted(task.target, task.kind, task.labels, task.repeat)
        for name, task in (config.tasks or {}).items()
    }


def with_tasks(config: Config, dataset: Dataset) -> Dataset:
    """The data set with a target for each task of the config; as it is where there are none or it has them.

    Raises:
      ValueError: naming the task, when its target is not there or does not fit.
    """
    if config.tasks is None or isinstance(dataset, TaskDataset):
        return dataset
    return of_tasks(dataset, wanted_of(config), seed=getattr(config.data, "seed", 0))


def _numbers(
    config: Config, hyper: Mapping[str, Any], section: str, part: Representation | Task
) -> dict[str, Any]:
    """A section's options with the swept numbers in their places."""
    values = {name: getattr(part, name) for name in type(part).model_fields}
    return values | {name: hyper[path] for name in values if (path := f"{section}.{name}") in hyper}


def shared_model(
    config: Config, dataset: Dataset, trunk: Callable[[int], Model], hyper: Mapping[str, Any]
) -> Model:
    """The network of all tasks.

    Args:
      config: with tasks.
      dataset: with their targets.
      trunk: from a number of features to the network of [model].
      hyper: swept numbers by path.
    """
    tasks, whole = _tasks(config, dataset)
    representation = _numbers(config, hyper, "representation", config.representation or Representation())
    heads, corruption = {}, {}
    for name, task in tasks.items():
        values = _numbers(config, hyper, f"tasks.{name}", task)
        spread = unit_of(*view(config, whole, name))
        heads[name] = models.head(
            representation["features"],
            task.widths,
            whole.facts(name).outputs if spread is None else spread.size,
            activation=representation["activation"],
        )
        if task.corruption != "none":
            corruption[name] = models.Noise(task.corruption, values["amount"])
    return models.shared(
        trunk(representation["features"]),
        heads,
        activation=representation["activation"],
        dropout=representation["dropout"],
        reconstructs=[name for name, task in tasks.items() if task.target == INPUTS],
        corruption=corruption,
    )


def is_random(config: Config, hyper: Mapping[str, Any]) -> bool:
    """Whether training draws random numbers for the tasks."""
    dropped = hyper.get("representation.dropout", (config.representation or Representation()).dropout)
    noisy = any(task.corruption != "none" for task in (config.tasks or {}).values())
    return noisy or not isinstance(dropped, (int, float)) or dropped > 0


def _tasks(config: Config, dataset: Dataset) -> tuple[dict[str, Task], TaskDataset]:
    if config.tasks is None or not isinstance(dataset, TaskDataset):
        raise ValueError("tasks: the config has some and the data set has none, or the other way round")
    return config.tasks, dataset


def view(config: Config, dataset: Dataset, name: str) -> tuple[Config, Dataset]:
    """Config and data set as those of a run of one task alone.

    Args:
      config, dataset: of several.
      name: of the task.
    """
    tasks, whole = _tasks(config, dataset)
    loss = tasks[name].loss
    if tasks[name].kind == "counts" and loss == "auto":
        loss = "poisson_nll"
    training = config.training.model_copy(update={"loss": loss})
    alone = config.model_copy(update={"tasks": None, "representation": None, "training": training})
    return alone, of_one(whole, name)


def task_loss(config: Config, dataset: Dataset, hyper: Mapping[str, Any]) -> LossFn:
    """The loss of all tasks, weighted.

    Raises:
      ValueError: naming the task, when its loss does not fit its target.
    """
    tasks, _ = _tasks(config, dataset)
    weights = {name: _numbers(config, hyper, f"tasks.{name}", task)["weight"] for name, task in tasks.items()}
    return joint_loss({name: _loss_of(config, dataset, name) for name in tasks}, weights)


def _loss_of(config: Config, dataset: Dataset, name: str) -> LossFn:
    try:
        return loss_of(*view(config, dataset, name))
    except ValueError as error:
        raise ValueError(f"tasks.{name}.{str(error).removeprefix('training.')}") from None


def task_metrics(config: Config, dataset: Dataset) -> dict[str, LossFn]:
    """Of every task its loss, unweighted, and its metrics: "digit.loss", "digit.accuracy"."""
    tasks, whole = _tasks(config, dataset)
    found: dict[str, LossFn] = {}
    for name in tasks:
        found[f"{name}.loss"] = of_task(name, _loss_of(config, dataset, name))
        if whole.facts(name).kind != "reconstruction":
            metrics = metrics_of(of_one(whole, name), unit_of(*view(config, dataset, name)))
            found |= {f"{name}.{metric}": of_task(name, measure) for metric, measure in metrics.items()}
    return found
