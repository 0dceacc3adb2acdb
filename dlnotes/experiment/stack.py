"""What [pretraining] asks for: the learners of a stack, checked against a network and its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np

from dlnotes.config import Config
from dlnotes.config.pretraining import LearnerTable
from dlnotes.data.dataset import Dataset
from dlnotes.data.order import steps_per_epoch
from dlnotes.experiment.groups import Group
from dlnotes.layers.activations import activation
from dlnotes.pretraining.autoencoder import autoencoder
from dlnotes.pretraining.learner import Learner
from dlnotes.pretraining.principal_components import pca
from dlnotes.pretraining.rbm_learner import rbm
from dlnotes.pretraining.sparse_coding import sparse_coding
from dlnotes.pretraining.train import layer_shapes

LEARNERS: dict[str, Callable[..., Learner]] = {
    "autoencoder": autoencoder,
    "pca": pca,
    "rbm": rbm,
    # Of its forms the one that is a layer of a network.
    "sparse_coding": partial(sparse_coding, nonnegative=True, encoder="learned"),
}
"""By the kind of a table in a config: ``learner(units, **options)``."""


@dataclass(frozen=True)
class Stack:
    """What [pretraining] asks for of one group, checked against its data.

    Attributes:
      learners: of the layers, the lowest first.
      epochs: of each.
      batch_size: examples of a step.
      x: ``(n, inputs)`` inputs of the training part.
      seeds: of the members; all settings of a sweep share them.
      settings: how many settings of swept numbers the group has.
    """

    learners: tuple[Learner, ...]
    epochs: tuple[int, ...]
    batch_size: int
    x: np.ndarray
    seeds: np.ndarray
    settings: int

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch, in every layer."""
        return steps_per_epoch(len(self.x), min(self.batch_size, len(self.x)))

    def first_step(self, layer: int) -> int:
        """The number under which a layer's start is saved: steps before it, and layers."""
        return sum(self.epochs[:layer]) * self.per_epoch + layer

    def inputs(self, layer: int) -> int:
        """Numbers that a layer is given."""
        return self.learners[layer - 1].units if layer else self.x.shape[-1]


def learner_of(table: LearnerTable, units: int) -> Learner:
    """The learner that a table describes.

    Raises:
      ValueError: when its options do not fit together.
    """
    return LEARNERS[table.kind](units, **table.model_dump(exclude={"kind", "epochs", "units"}))


def stack_of(group: Group, dataset: Dataset) -> Stack | None:
    """What a group's [pretraining] asks for, checked before anything is compiled; ``None`` without.

    Args:
      group: the members.
      dataset: with the whole training part.

    Raises:
      ValueError: naming the option or the layer, and what is allowed.
    """
    config = group.config
    section = config.pretraining
    if section is None or not section.learners:
        return None
    x = _inputs_of(config, dataset)
    widths = getattr(config.model, "widths")  # noqa: B009
    learners = []
    for k, (table, units) in enumerate(zip(section.learners, widths)):
        where = f"pretraining.learners[{k}] ({table.kind})"
        try:
            learners.append(learner_of(table, units))
            layer_shapes(learners[-1], x.shape[-1] if k == 0 else learners[-2].units, 1, section.batch_size)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        try:
            learners[-1].check(x if k == 0 else _outputs_like(learners[-2]))
        except ValueError as error:
            what = f"inputs of {dataset.name}" if k == 0 else f"{learners[-2].activation} units below it"
            if k == 0 and dataset.standardize is not None and dataset.input == "image":
                what += ", which are standardized (data.standardize = false leaves them in [0, 1])"
            raise ValueError(f"{where}: {what}: {error}") from None
    seeds = group.seeds[: config.training.seeds]
    epochs = tuple(table.epochs for table in section.learners)
    return Stack(tuple(learners), epochs, section.batch_size, x, seeds, len(group.points))


def _inputs_of(config: Config, dataset: Dataset) -> np.ndarray:
    """The inputs of the training part that are learned from, a row each; labels are never looked at."""
    n, train = getattr(config.pretraining, "examples", None), dataset.train
    if n is not None and n > train.size:
        raise ValueError(
            f"pretraining.examples: got {n}, the training part of {dataset.name} has {train.size}; the "
            "validation and test parts are never learned from"
        )
    x = np.asarray(train.x[:n], np.float32)
    return x.reshape(len(x), -1)


def _outputs_like(learner: Learner) -> np.ndarray:
    """What units of an activation may give, for the check of the layer above: two rows, far apart."""
    if learner.activation is None:
        return np.zeros((2, learner.units), np.float32)
    far = np.array([[-3.0], [3.0]], np.float32) + np.zeros((1, learner.units), np.float32)
    return np.asarray(activation(learner.activation)(jnp.asarray(far)), np.float32)
