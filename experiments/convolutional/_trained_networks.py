"""A small convolutional network on pictures of clothes, before and after training; for several claims."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, RecipeOf, optimizer, schedules, tune_briefly_and_train
from dlnotes.typing import Params

CHANNELS, KERNEL = (8, 16), 5
NETWORK = models.cnn((28, 28, 1), 10, channels=CHANNELS, kernel=KERNEL, dense=())
"""Two stages of convolution, max-pooling and ReLU, then a linear output."""
STATES = ("random", "half trained", "trained")
RATES = (0.0003, 0.001, 0.003, 0.01)
FIRST_SEED = 4000
"""Judged seeds: nobody has seen a training of these before the rules were written."""


class Networks(NamedTuple):
    """The same members before training, after half of the steps and after all.

    Attributes:
      params: one for each of `STATES`, leaves ``(members, ...)``.
      test: images that no member was trained on, with their classes.
      accuracy: ``(states, members)`` on ``test``.
      rate: the chosen learning rate.
      tuning: ``(rates,)`` minus the validation accuracy of the tuning seeds.
    """

    params: tuple[models.CNN, ...]
    test: data.Examples
    accuracy: np.ndarray
    rate: float
    tuning: np.ndarray


def train_networks(
    *, seeds: int, tuning_seeds: int, steps: int, tuning_steps: int, images: int, test: int, batch: int = 32
) -> Networks:
    """One member per seed, each with weights and an order of its own, by Adam at its best rate.

    The rate falls to 0 along a cosine over each half of the steps, so that networks are compared where
    they have settled.

    Args:
      seeds: number of members.
      tuning_seeds: further seeds, on which the rate with the best validation accuracy is chosen.
      steps: of each training that counts.
      tuning_steps: of each that chooses the rate.
      images: training images of Fashion-MNIST, the first so many.
      test: test images, and validation images, the first so many.
      batch: examples of a step.
    """
    clothes = data.load("fashion_mnist")
    train, held, unseen = (
        data.Examples(np.asarray(part.x[:n]), np.asarray(part.y[:n]))
        for part, n in (
            (clothes.train, images),
            (clothes.split("validation"), test),
            (clothes.split("test"), test),
        )
    )

    def recipe_of(steps: int) -> RecipeOf:
        fall = schedules.cosine_restarts(steps, cycles=2)

        def of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adam", hyper["rate"], factor=fall)
            return Recipe(NETWORK, outputs.cross_entropy, {"accuracy": outputs.accuracy}, adam)

        return of

    tuned = tune_briefly_and_train(
        recipe_of,
        train,
        held,
        {"network": [0]},
        {"rate": RATES},
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        first_seed=FIRST_SEED,
        score="accuracy",
        steps=steps,
        tuning_steps=tuning_steps,
        batch_size=min(batch, images),
        every=max(steps // 2, 1),
        probe=lambda params: params,
        record=max(steps // 2, 1),
        convolutions=True,
    )

    @jax.jit
    def right(params: models.CNN):
        return jax.lax.map(lambda p: NETWORK.apply(p, unseen.x).argmax(-1) == unseen.y, params)

    start, half = (jax.tree.map(lambda a, i=i: a[i], tuned.fit.probes) for i in (0, 1))
    params: tuple[Params, ...] = (start, half, tuned.fit.params)
    accuracy = np.array([np.asarray(right(p)).mean(-1) for p in params])
    return Networks(params, unseen, accuracy, RATES[tuned.chosen[0]], tuned.tuning[0])
