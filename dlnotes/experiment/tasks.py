"""Several tasks in a run: their data, network, loss and metrics, and the run as that of one task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from dlnotes import models
from dlnotes.checks import did_you_mean
from dlnotes.config import Config, ConfigError
from dlnotes.config.tasks import INPUTS, Representation, Task
from dlnotes.data.dataset import Dataset
from dlnotes.data.tasks import TaskDataset, Wanted, of_one, of_tasks
from dlnotes.experiment.objective import loss_of, metrics_of
from dlnotes.models.model import Model
from dlnotes.outputs import LossFn, PerExample, Reconstruction, joint_loss, of_task
from dlnotes.training.state import Hyperparams, Recipe

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Trained


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
        heads[name] = models.head(
            representation["features"],
            task.widths,
            whole.facts(name).outputs,
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
    training = config.training.model_copy(update={"loss": tasks[name].loss})
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
            metrics = metrics_of(of_one(whole, name))
            found |= {f"{name}.{metric}": of_task(name, measure) for metric, measure in metrics.items()}
    return found


def evaluator_of(evaluator: Evaluator, name: str) -> Evaluator:
    """An evaluator of one task: it predicts that task's answers, of the same members on the same devices."""
    setup = evaluator.setup
    config, dataset = view(setup.group.config, setup.dataset, name)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        recipe = setup.recipe_of(hyper)

        def apply(params: Any, x: Any, /, *, key: Any = None, mask: Any = None) -> Any:
            own = recipe.model.apply(params, x, key=key, mask=mask)[name]  # pyright: ignore[reportArgumentType, reportCallIssue]
            return own.output if isinstance(own, Reconstruction) else own

        return recipe._replace(
            model=Model(recipe.model.init, apply), loss=_nothing, evaluation_loss=None, metrics={}
        )

    alone = replace(
        setup,
        group=replace(setup.group, config=config),
        dataset=dataset,
        recipe_of=recipe_of,
        metric_names=("loss",),
    )
    return type(evaluator)(alone, evaluator.placement)


def _nothing(output: Any, y: Any) -> PerExample:
    zeros = jnp.zeros(output.shape[:1], jnp.float32)
    return PerExample(zeros, zeros)


def by_task(
    measure: Callable[[Evaluator, str], Mapping[str, np.ndarray]], evaluator: Evaluator
) -> dict[str, np.ndarray]:
    """What is measured of every task, its name before the metric's."""
    found: dict[str, np.ndarray] = {}
    for name in evaluator.setup.group.config.tasks or {}:
        measured = measure(evaluator_of(evaluator, name), name)
        found |= {f"{name}.{metric}": values for metric, values in measured.items()}
    return found


def one_task(trained: Trained, name: str) -> Trained:
    """A run of several tasks opened as that of one: it predicts, is measured and exported as any other.

    Args:
      trained: of several.
      name: of the task.

    Raises:
      ConfigError: when there is no such task, or it reconstructs its inputs.

    Example:
      ``export_run(one_task(open_run("runs/shared_digits/…"), "digit"))``
    """
    where, tasks = str(trained.folder.path), trained.config.tasks
    if tasks is None:
        raise ConfigError(where, [f"task: got {name!r}, the run has one task, which has no name"])
    if name not in tasks:
        raise ConfigError(
            where, [f"task: got {name!r}{did_you_mean(name, tasks)}, allowed: {', '.join(tasks)}"]
        )
    if tasks[name].reconstructs:
        able = [other for other, task in tasks.items() if not task.reconstructs]
        told = f"task: got {name!r}, which reconstructs its inputs; allowed: {', '.join(able) or 'none'}"
        raise ConfigError(where, [told])
    evaluator = evaluator_of(trained.evaluator, name)
    group = evaluator.setup.group
    return replace(trained, config=group.config, dataset=evaluator.setup.dataset, evaluator=evaluator)


def require_one_task(trained: Trained, what: str) -> None:
    """Refuse a run of several tasks.

    Raises:
      ConfigError: naming them.
    """
    if trained.config.tasks is not None:
        told = f"task: {what} is of one task; name one of {', '.join(trained.config.tasks)}"
        raise ConfigError(str(trained.folder.path), [told])
