"""What a teacher changes in a student's recipe: the training loss, and the answers to inputs that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.groups import Group
from dlnotes.layers.random import fold_in
from dlnotes.outputs.distillation import (
    distillation,
    imitation,
    join_answers,
    targets_of,
    with_answers,
    without_answers,
)
from dlnotes.outputs.losses import LossFn
from dlnotes.typing import Array, PRNGKey

Change = Callable[[PRNGKey, Any, Any], tuple[Any, Any]]
"""``change(key, x, y) -> (x, y)``, as `dlnotes.training.Recipe` has it."""


@dataclass(frozen=True)
class Teaching:
    """A teacher of one data set.

    Attributes:
      dataset: the student's, its training part with further inputs if there are any, and with the teacher's
        answers beside the targets unless inputs change from step to step.
      answer: the teacher's answers ``(batch, K)`` to inputs of the student where they change from step to
        step, else ``None``.
      weights: SHA-256 of the teacher: its parameters, and how it is asked.
      answers: SHA-256 of its answers; "" where it is asked anew in every step.
      told: who it is, in words.
    """

    dataset: Dataset
    answer: Callable[[Any], Array] | None
    weights: str
    answers: str
    told: str

    @property
    def digest(self) -> str:
        """What a checkpoint keeps of it."""
        return self.answers or self.weights


def asked_anew(group: Group) -> bool:
    """Whether a group's inputs change from step to step, so that its teacher is asked in every step."""
    augment = group.config.augment
    moved = augment is not None and any(v for k, v in augment.model_dump().items() if k != "fill")
    return moved or is_noisy(group.config, group.hyperparams)


def is_noisy(config: Config, hyper: Mapping[str, Any]) -> bool:
    """Whether noise is added to inputs, or may be in some setting of a sweep."""
    return "teacher.noise" in hyper or (config.teacher is not None and config.teacher.noise > 0)


def taught_loss(dataset: Dataset, options: dict[str, Any], label_smoothing: float | Array) -> LossFn:
    """The training loss of targets with answers beside them.

    Args:
      dataset: of the student.
      options: of [teacher], the swept numbers in their places.
      label_smoothing: of the labels' part.
    """
    classes, outputs = dataset.task == "classification", dataset.outputs
    if classes:
        own = partial(
            distillation,
            temperature=options["temperature"],
            share=options["share"],
            label_smoothing=label_smoothing,
        )
    else:
        own = partial(imitation, share=options["share"])
    return with_answers(own, classes=classes, outputs=outputs)


def untaught(dataset: Dataset, measure: LossFn) -> LossFn:
    """A loss or metric that leaves the teacher's answers out."""
    return without_answers(measure, classes=dataset.task == "classification", outputs=dataset.outputs)


def taught_change(teaching: Teaching, change: Change | None, noise: float | Array | None) -> Change | None:
    """The change of a step's inputs, answered by the teacher; ``None`` where nothing changes.

    Args:
      teaching: of the student.
      change: of [augment], or ``None``.
      noise: standard deviation of what is added to the inputs, or ``None``.
    """
    answer = teaching.answer
    if answer is None:
        return change
    dataset = teaching.dataset
    classes, outputs = dataset.task == "classification", dataset.outputs

    def changed(key: PRNGKey, x: Any, y: Any) -> tuple[Any, Any]:
        y, _ = targets_of(y, classes=classes, outputs=outputs)
        if change is not None:
            x, y = change(key, x, y)
        if noise is not None:
            x = x + jnp.asarray(noise, x.dtype) * noise_like(fold_in(key, 7), x)
        return x, join_answers(y, answer(x))

    return changed


def noise_like(key: PRNGKey, x: Array) -> Array:
    """Standard normal numbers of the shape of ``x``; with a key for each example, from its own."""
    if key.ndim == 0:
        return jax.random.normal(key, x.shape, x.dtype)
    return jax.vmap(lambda k: jax.random.normal(k, x.shape[1:], x.dtype))(key)
