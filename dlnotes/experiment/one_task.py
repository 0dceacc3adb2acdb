"""A run of several tasks seen as that of one: it predicts, is measured and exported as any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlnotes.checks import did_you_mean
from dlnotes.config import ConfigError
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.result import Trained
from dlnotes.experiment.tasks import view
from dlnotes.models.model import Model
from dlnotes.outputs import PerExample, Reconstruction
from dlnotes.training.state import Hyperparams, Recipe


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
