"""What the claims on pixel labels share: scenes, training at a network's own rate, overlap and outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.claims import Above, Level, Measured, mean
from dlnotes.training import Fit, Hyperparams, Recipe, fit, initial_params, optimizer, schedules
from dlnotes.typing import Array, Params

FIRST = 4000
"""First seed that counts; tuning seeds come after those that count."""
SCENES_SEED = 1071
"""Of the scenes that are composed."""


class Sizes(NamedTuple):
    """How much is trained.

    Attributes:
      seeds: trainings that count.
      tuning_seeds: trainings with each learning rate, with other seeds than those.
      scenes: training scenes of a seed, drawn from the pool.
      steps, batch: of a training.
      tuning_steps: of a training that chooses the rate.
    """

    seeds: int
    tuning_seeds: int
    scenes: int
    steps: int
    batch: int
    tuning_steps: int


class Judged(NamedTuple):
    """A network on the test scenes at its best rate.

    Attributes:
      iou, outlines: ``(guesses, seeds)`` mean intersection over union, and boundary F within one pixel;
        one guess but of a network that answers several times.
      rate: the learning rate chosen.
      labels: ``(seeds, scenes, height, width)`` of the last guess.
    """

    iou: np.ndarray
    outlines: np.ndarray
    rate: float
    labels: np.ndarray


def loss_of(guesses: int):
    """Cross-entropy of all pixels; of a network that answers several times, the mean over its answers."""

    def every(output: Array, y: Array) -> outputs.PerExample:
        return outputs.over_steps(outputs.cross_entropy, output, y)

    return outputs.cross_entropy if guesses == 1 else every


def train(
    model: models.Model,
    pool: data.Examples,
    seeds: np.ndarray,
    rates: np.ndarray,
    sizes: Sizes,
    steps: int,
    guesses: int = 1,
) -> Fit:
    """Adam with a rate that falls to 0 along a cosine; one member per seed and rate, each with its scenes."""
    rows = [np.random.default_rng(s).permutation(pool.size)[: sizes.scenes] for s in seeds]
    chosen = np.stack(rows)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        fall = schedules.cosine(steps)
        return Recipe(model, loss_of(guesses), {}, optimizer("adam", hyper["rate"], factor=fall))

    return fit(
        recipe_of,
        data.Examples(pool.x[chosen], pool.y[chosen]),
        steps=steps,
        batch_size=min(sizes.batch, sizes.scenes),
        seeds=seeds,
        hyperparams={"rate": rates},
        start=initial_params(model, seeds, "he_convolution"),
        record=steps,
        convolutions=True,
        data_per_member=True,
    )


def judge(
    model: models.Model, scenes: data.Dataset, sizes: Sizes, rates: Sequence[float], guesses: int = 1
) -> Judged:
    """Choose the rate by the loss on validation scenes, train every seed with it, measure on test scenes."""
    validation, test = scenes.split("validation"), scenes.split("test")
    others = np.tile(FIRST + sizes.seeds + np.arange(sizes.tuning_seeds), len(rates))
    spread = np.repeat(np.asarray(rates, np.float32), sizes.tuning_seeds)
    tuning = train(model, scenes.train, others, spread, sizes, sizes.tuning_steps, guesses)

    def loss(p: Params):
        measured = loss_of(guesses)(model.apply(p, validation.x), validation.y)
        return jnp.sum(measured.total) / jnp.sum(measured.count)

    losses = np.asarray(jax.jit(lambda all: jax.lax.map(loss, all))(tuning.params))
    losses = np.where(tuning.stopped_at >= 0, np.inf, losses).reshape(len(rates), -1).mean(1)
    rate = float(rates[int(np.argmin(losses))])
    answer = jax.jit(lambda all: jax.lax.map(lambda p: jnp.argmax(model.apply(p, test.x), -1), all))

    members, same = FIRST + np.arange(sizes.seeds), np.full(sizes.seeds, rate, np.float32)
    result = train(model, scenes.train, members, same, sizes, sizes.steps, guesses)
    labels = np.asarray(answer(result.params)).astype(np.int8)
    labels = labels[None] if guesses == 1 else np.moveaxis(labels, -1, 0)
    y, k = np.asarray(test.y), scenes.outputs
    return Judged(
        iou=np.array([[outputs.mean_iou(outputs.confusion(one, y, k)) for one in each] for each in labels]),
        outlines=np.array([[outputs.boundary_f(one, y, k) for one in each] for each in labels]),
        rate=rate,
        labels=labels[-1],
    )


def small_scenes(
    side: int,
    classes: int,
    pool: int,
    validation: int,
    test: int,
    *,
    most: int,
    clutter: int,
    object_size: tuple[int, int],
) -> data.Dataset:
    """Scenes of one to ``most`` handwritten digits over clutter."""
    return data.load(
        "scenes",
        source="mnist",
        size=(side, side),
        objects=(1, most),
        object_size=object_size,
        clutter=clutter,
        classes=classes,
        n_train=pool,
        n_validation=validation,
        n_test=test,
        seed=SCENES_SEED,
    )


def level(place: int, name: str) -> Level:
    """Networks whose labels are compared must label most pixels of the objects."""
    return Level(
        what=f"mean intersection over union on test scenes, percent, {name}; Long et al. 2015 report 62.2 on "
        "PASCAL VOC 2012",
        effect=lambda m: mean(100 * m["iou"][place]),
        rule=Above(70.0),
    )


def table(names: Sequence[str], m: Measured) -> dict[str, Any]:
    """The numbers of every network, one row each."""
    return {
        "network": names,
        "parameters": m["parameters"],
        "multiply_adds": m["multiply_adds"],
        "rate": m["rate"],
        "mean_iou": m["iou"].mean(1),
        "mean_iou_deviation": m["iou"].std(1, ddof=1),
        "boundary_f": m["outlines"].mean(1),
        "boundary_f_deviation": m["outlines"].std(1, ddof=1),
    }
