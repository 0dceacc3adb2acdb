"""Networks of several layers of one width on pictures of clothes, and linear classifiers at each layer."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.analysis import linear_probe, probe_accuracy, separable
from dlnotes.training import (
    Fit,
    Hyperparams,
    Recipe,
    RecipeOf,
    fit,
    initial_params,
    optimizer,
    schedules,
    tune_briefly_and_train,
)
from dlnotes.typing import Array, Params

CLASSES = 10
RATES = (0.0003, 0.001, 0.003)
FIRST_SEED = 14_600
DECAYS = (1e-4, 1e-3, 1e-2)
SHAPE = (28, 28, 1)
CHANNELS = (4, 8)
STATES = ("untrained", "half-way", "trained")


class Kind(NamedTuple):
    """One kind of network.

    Attributes:
      name: in tables.
      model: of it.
      steps: of its training.
      convolutional: whether images go in as they are.
    """

    name: str
    model: models.Model
    steps: int
    convolutional: bool = False

    def shaped(self, x: np.ndarray) -> np.ndarray:
        """Rows of pixels as this network takes them."""
        return x.reshape(-1, *SHAPE) if self.convolutional else x


def kinds(width: int, depth: int, steps: int, image_steps: int) -> tuple[Kind, ...]:
    """Perceptrons of tanh and of ReLU units, and a convolutional network whose dense layer is as wide."""
    pixels = int(np.prod(SHAPE))
    tanh = models.mlp(pixels, (width,) * depth, CLASSES, activation="tanh", initializer="glorot_uniform")
    relu = models.mlp(pixels, (width,) * depth, CLASSES)
    maps = models.cnn(SHAPE, CLASSES, channels=CHANNELS, dense=(width,))
    return (
        Kind("tanh", tanh, steps),
        Kind("ReLU", relu, steps),
        Kind("convolutional", maps, image_steps, convolutional=True),
    )


class Networks(NamedTuple):
    """Trainings of one kind.

    Attributes:
      params: in each of `STATES`, leaves ``(seeds, ...)``.
      rate: the learning rate.
    """

    params: tuple[Params, ...]
    rate: float


Sets = tuple[data.Examples, data.Examples, data.Examples]


def _recipe_of(kind: Kind, steps: int) -> RecipeOf:
    """Adam, whose rate falls to zero twice: half-way stands a training of half as many steps."""
    fall = schedules.cosine_restarts(steps, cycles=2)

    def of(hyper: Hyperparams) -> Recipe:
        return Recipe(kind.model, outputs.cross_entropy, {}, optimizer("adam", hyper["rate"], factor=fall))

    return of


def _options(kind: Kind, batch_size: int) -> dict:
    half = kind.steps // 2
    return {
        "batch_size": batch_size,
        "every": half,
        "probe": lambda params: params,
        "record": half,
        "convolutions": kind.convolutional,
    }


def _networks(trained: Fit, rate: float) -> Networks:
    states = tuple(jax.tree.map(lambda a, i=i: a[i], trained.probes) for i in range(len(STATES)))
    return Networks(states, rate)


def train(
    kind: Kind, sets: Sets, *, seeds: int, tuning_seeds: int, tuning_steps: int, batch_size: int
) -> Networks:
    """So many trainings at the rate of least validation loss after fewer steps of other seeds."""
    training, validation, _ = (part._replace(x=kind.shaped(part.x)) for part in sets)
    tuned = tune_briefly_and_train(
        partial(_recipe_of, kind),
        training,
        validation,
        {"all": [0]},
        {"rate": RATES},
        start=lambda hyper, own: initial_params(kind.model, own),
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        first_seed=FIRST_SEED,
        steps=2 * (kind.steps // 2),
        tuning_steps=tuning_steps,
        **_options(kind, min(batch_size, training.size)),
    )
    return _networks(tuned.fit, RATES[tuned.chosen[0]])


def train_shuffled(kind: Kind, sets: Sets, rate: float, *, seeds: int, batch_size: int) -> Networks:
    """The same trainings on labels that are shuffled over the images, in each seed alike."""
    y = np.random.default_rng(FIRST_SEED).permutation(sets[0].y)
    steps = 2 * (kind.steps // 2)
    trained = fit(
        lambda hyper: _recipe_of(kind, steps)(hyper),
        data.Examples(kind.shaped(sets[0].x), y),
        steps=steps,
        seeds=FIRST_SEED + np.arange(seeds),
        hyperparams={"rate": np.full(seeds, rate)},
        start=initial_params(kind.model, FIRST_SEED + np.arange(seeds)),
        **_options(kind, min(batch_size, len(y))),
    )
    return _networks(trained, rate)


@partial(jax.jit, static_argnums=0)
def layers(model: models.Model, params: Params, x: Array) -> list[Array]:
    """What each hidden layer of one network gives, ``(examples, units)``, and its outputs at the end."""
    _, *found = models.activations(model, params, x).values()
    return [value.reshape(value.shape[0], -1) for value in found]


def member(params: Params, i: int) -> Params:
    return jax.tree.map(lambda a: jnp.asarray(a[i]), params)


def probed(values: list[list[Array]], y: list[Array], width: int, kind: str = "ridge") -> list[float]:
    """Accuracy, %, on the test images of a linear classifier of each layer.

    Args:
      values: by part (training, validation, test) what the layers give.
      y: by part the classes.
      width: principal directions that are used of a layer that has more units.
      kind: of the classifier's loss.
    """
    found = []
    for train_x, validation_x, test_x in zip(*values):
        components = width if train_x.shape[1] > width else None
        probe = linear_probe(
            train_x,
            y[0],
            CLASSES,
            kind=kind,  # pyright: ignore[reportArgumentType]
            validation=(validation_x, y[1]),
            components=components,
            decays=DECAYS,
        )
        found.append(100 * float(probe_accuracy(probe, test_x, y[2])))
    return found


def principal(x: np.ndarray, width: int) -> np.ndarray:
    """Principal directions of most variance, ``(pixels, width)``."""
    centered = x - x.mean(0)
    return np.linalg.eigh(centered.T @ centered)[1][:, ::-1][:, :width]


def of_each_class(y: np.ndarray, points: int, seed: int) -> np.ndarray:
    """Places of so many examples of each class, ``(classes, points)``."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(np.flatnonzero(y == k), points, replace=False) for k in range(CLASSES)])


def separated(values: np.ndarray) -> float:
    """Share of the pairs of classes that a plane separates exactly, for ``(classes, points, units)``."""
    pairs = list(combinations(range(len(values)), 2))
    sign = np.repeat([0, 1], values.shape[1])
    return float(np.mean([separable(np.concatenate([values[a], values[b]]), sign) for a, b in pairs]))
