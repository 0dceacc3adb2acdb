"""Networks for one digit against all others, trained for several claims on cascades."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.analysis import count
from dlnotes.training import Hyperparams, Recipe, optimizer, schedules, tune_briefly_and_train
from dlnotes.typing import Array, Params

SIDE = 28
RATES = (0.001, 0.003, 0.01)
PREVALENCE = 0.01
"""Share of positives among the examples that are judged: each of them counts accordingly less."""


def shrunk(x: Array, side: int) -> Array:
    """The means of squares of pixels of ``(n, 28, 28, 1)``, as ``(n, side²)``."""
    by = SIDE // side
    return x.reshape(-1, side, by, side, by).mean((2, 4)).reshape(-1, side * side)


def on_small(model: models.Model, side: int) -> models.Model:
    """A network that looks at an image made smaller."""

    def apply(params: Params, x: Any, /, *, key: Any = None, mask: Any = None) -> Array:
        return model.apply(params, shrunk(x, side), key=key, mask=mask)

    return models.Model(model.init, apply)


LINEAR = on_small(models.linear(7 * 7, 1), 7)
SMALL = on_small(models.mlp(14 * 14, (32,), 1), 14)
LARGE = models.cnn((SIDE, SIDE, 1), 1, channels=(16, 32), kernel=3, dense=(64,))
STAGES = (LINEAR, SMALL, LARGE)
NAMES = ("linear on 7×7", "perceptron on 14×14", "convolutional on 28×28")


def cost_of(model: models.Model) -> int:
    """Multiply-adds for one image."""
    return count(model, np.zeros((1, SIDE, SIDE, 1), np.float32)).multiply_adds


def score_of(model: models.Model) -> Callable[[Params, Any], Array]:
    """The logit as a stage's score."""
    return lambda params, x: model.apply(params, x)[:, 0]


class Parts(NamedTuple):
    """Images ``(n, 28, 28, 1)`` with 1 for the digit and 0 for all others."""

    train: data.Examples
    validation: data.Examples
    test: data.Examples


def parts_of(name: str, which: int, images: int, validation: int, test: int) -> Parts:
    """The first so many images of each part of MNIST or Fashion-MNIST."""
    found = data.load(name)
    return Parts(
        *(
            data.Examples(np.asarray(part.x[:n]), (np.asarray(part.y[:n]) == which).astype(np.int32))
            for part, n in (
                (found.train, images),
                (found.split("validation"), validation),
                (found.split("test"), test),
            )
        )
    )


def weights(y: np.ndarray, prevalence: float = PREVALENCE) -> np.ndarray:
    """How much each example counts where a share ``prevalence`` of them is of the class."""
    share = (y == 1).mean()
    return np.where(y == 1, prevalence / share, (1 - prevalence) / (1 - share))


class Trained(NamedTuple):
    """Members of one network, after half of the steps and after all.

    Attributes:
      params: leaves ``(2, members, ...)``.
      rate: that was chosen.
    """

    params: Params
    rate: float


def train(
    model: models.Model,
    parts: Parts,
    *,
    seeds: int,
    first_seed: int,
    tuning_seeds: int,
    steps: int,
    tuning_steps: int,
    batch: int,
) -> Trained:
    """One member a seed by Adam, at the rate with the lowest validation loss on other seeds.

    The rate falls to 0 along a cosine over each half of the steps.
    """

    def recipe_of(steps: int) -> Callable[[Hyperparams], Recipe]:
        fall = schedules.cosine_restarts(steps, cycles=2)

        def of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adam", hyper["rate"], factor=fall)
            return Recipe(model, outputs.binary_cross_entropy, {}, adam)

        return of

    half = max(steps // 2, 1)
    tuned = tune_briefly_and_train(
        recipe_of,
        parts.train,
        parts.validation,
        {"network": [0]},
        {"rate": RATES},
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        first_seed=first_seed,
        steps=2 * half,
        tuning_steps=tuning_steps,
        batch_size=min(batch, parts.train.size),
        every=half,
        probe=lambda params: params,
        record=half,
        convolutions=model is LARGE,
    )
    params = jax.tree.map(lambda a: a[1:3], tuned.fit.probes)
    return Trained(params, RATES[tuned.chosen[0]])


def scores(model: models.Model, params: Params, x: np.ndarray, rows: int = 500) -> np.ndarray:
    """The logits ``(members, n)`` of all members for all images."""

    @jax.jit
    def some(params: Params, x: Array) -> Array:
        return jax.lax.map(lambda p: model.apply(p, x)[:, 0], params)

    found = [np.asarray(some(params, jnp.asarray(x[i : i + rows]))) for i in range(0, len(x), rows)]
    return np.concatenate(found, axis=1)


def gathered(params: list[Params], thresholds: np.ndarray, x: np.ndarray, passed: np.ndarray) -> int:
    """On how many images inference that gathers what is left differs from all stages for all images."""
    found = cascade(params, jnp.asarray(thresholds), jnp.asarray(x))
    return int((np.asarray(found.passed) != passed).sum())


@jax.jit
def cascade(params: list[Params], thresholds: Any, x: Any) -> models.CascadePassage:
    """All stages, each on what is left."""
    return models.run_cascade([score_of(m) for m in STAGES], params, thresholds, x)


@jax.jit
def large(params: list[Params], thresholds: Any, x: Any) -> models.CascadePassage:
    """The last stage for all images, in the same tiles."""
    return models.run_cascade([score_of(STAGES[-1])], params[-1:], thresholds[-1:], x)


def seconds(params: list[Params], thresholds: np.ndarray, parts: Parts, rounds: int) -> np.ndarray:
    """Seconds for images of which one percent is of the class, ``(rounds, cascade and large)``."""
    of_class, others = (np.flatnonzero(parts.test.y == v) for v in (1, 0))
    few = max(1, round(len(others) * PREVALENCE / (1 - PREVALENCE)))
    x = jnp.asarray(parts.test.x[np.concatenate([of_class[:few], others])])
    found = np.zeros((rounds, 2))
    for turn in range(-1, rounds):  # the first compiles
        for which, run in enumerate((cascade, large)):
            start = time.perf_counter()
            jax.block_until_ready(run(params, jnp.asarray(thresholds), x))
            found[max(turn, 0), which] = time.perf_counter() - start
    return found
