"""Convolutional networks on MNIST or Fashion-MNIST that differ in depth or in width: what F4.5a and F4.5b
train."""

from __future__ import annotations

from math import gcd
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import analysis, data, models, outputs
from dlnotes.models.convolutional.conv_net import Stage
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer, schedules
from dlnotes.typing import Array, Params

SIDE, CLASSES = 28, 10
RATES = (0.0005, 0.0015, 0.0045, 0.0135)
SHORTER = 8
"""Rates are chosen by trainings of an eighth of the steps."""
FIRST_SEED = 5000
Name = Literal["mnist", "fashion_mnist"]
PUBLISHED = {"mnist": 98.9, "fashion_mnist": 91.6}
"""Test accuracy, %: LeNet-4 (LeCun et al. 1998); two convolutions, in the list of the data's authors."""
LEVEL = (
    "test accuracy of the deeper network minus a published one, percentage points (98.9 on MNIST: LeNet-4, "
    "LeCun et al. 1998, who report 99.05 for LeNet-5; 91.6 on Fashion-MNIST: list of the data's authors)"
)


class Shape(NamedTuple):
    """A network: a 5×5 convolution of stride 2, a 3×3 one with pooling, more without, and dense layers.

    Attributes:
      maps: of the first convolution; all others have twice as many.
      more: further convolutions on the 7×7 maps.
      units: of the dense layer.
    """

    maps: int
    more: int
    units: int


def network(shape: Shape) -> models.Model:
    """The network of a shape."""
    stages = [Stage(shape.maps, kernel=5, stride=2), Stage(2 * shape.maps, pool=2)]
    if shape.more:
        stages.append(Stage(2 * shape.maps, blocks=shape.more))
    return models.conv_net((SIDE, SIDE, 1), CLASSES, stages=stages, dense=(shape.units,))


def counted(shape: Shape) -> tuple[int, int]:
    """Its parameters, and its multiply-adds for an image."""
    count = analysis.count(network(shape), np.zeros((1, SIDE, SIDE, 1), np.float32))
    return count.parameters, count.multiply_adds


class Trained(NamedTuple):
    """What `train` gives.

    Attributes:
      accuracy: ``(seeds,)`` on the test images, %.
      rate: that was chosen.
      tuning: ``(rates,)`` mean validation loss of the tuning seeds.
    """

    accuracy: np.ndarray
    rate: float
    tuning: np.ndarray


def judged(model: models.Model, params: Params, examples: data.Examples) -> np.ndarray:
    """Mean cross-entropy and accuracy of each member, ``(2, members)``, from a few images at a time."""
    block = gcd(examples.size, 500)
    blocks = jax.tree.map(lambda a: a.reshape(-1, block, *a.shape[1:]), (examples.x, examples.y))

    def one(p: Params) -> Array:
        def means(some: tuple[Array, Array]) -> Array:
            x, y = some
            logits = model.apply(p, x)
            measures = (outputs.cross_entropy(logits, y), outputs.accuracy(logits, y))
            return jnp.stack([jnp.mean(m.total) for m in measures])

        return jax.lax.map(means, blocks).mean(0)

    return np.asarray(jax.jit(lambda all: jax.lax.map(one, all))(params)).T


def train(
    shape: Shape,
    sets: tuple[data.Examples, data.Examples, data.Examples],
    *,
    seeds: int,
    tuning_seeds: int,
    steps: int,
    batch_size: int,
) -> Trained:
    """Choose the rate of Adam on other seeds and shorter trainings, then train the judged seeds.

    The rate falls to 0 along a cosine in both.
    """
    train_set, validation, test = sets
    model = network(shape)

    def trained(own: np.ndarray, rates: np.ndarray, steps: int, examples: data.Examples):
        def recipe_of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adam", hyper["rate"], factor=schedules.cosine(steps))
            return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, adam)

        result = fit(
            recipe_of,
            train_set,
            steps=steps,
            batch_size=batch_size,
            seeds=own,
            hyperparams={"rate": rates},
            start=initial_params(model, own, "he_convolution"),
            record=steps,
            convolutions=True,
        )
        return np.where(result.stopped_at >= 0, np.nan, judged(model, result.params, examples))

    others = np.tile(FIRST_SEED + seeds + np.arange(tuning_seeds), len(RATES))
    loss = trained(others, np.repeat(RATES, tuning_seeds), max(1, steps // SHORTER), validation)[0]
    tuning = np.nan_to_num(loss, nan=np.inf).reshape(len(RATES), tuning_seeds).mean(1)
    rate = RATES[int(np.argmin(tuning))]
    accuracy = trained(FIRST_SEED + np.arange(seeds), np.full(seeds, rate), steps, test)[1]
    return Trained(100 * accuracy, rate, tuning)


def images(name: Name, train: int, test: int) -> tuple[data.Examples, data.Examples, data.Examples]:
    """Training, validation and test images of a set, as images."""
    parts = data.parts_of(data.load(name), train, 5000, test)
    return tuple(data.Examples(p.x.reshape(-1, SIDE, SIDE, 1), p.y) for p in parts)  # type: ignore[return-value]
