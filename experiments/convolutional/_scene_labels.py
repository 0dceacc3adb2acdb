"""What the claims on pixel labels share: scenes, training at a network's own rate, overlap and outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.claims import Measured
from dlnotes.training import Fit, Hyperparams, Recipe, fit, initial_params, optimizer, schedules
from dlnotes.typing import Params


class Sizes(NamedTuple):
    """How much is trained.

    Attributes:
      seeds: trainings that count.
      tuning_seeds: trainings with each learning rate, with other seeds than those.
      scenes: training scenes of a seed, drawn from the pool.
      steps, batch: of a training.
    """

    seeds: int
    tuning_seeds: int
    scenes: int
    steps: int
    batch: int


class Judged(NamedTuple):
    """A network on the test scenes at its best rate.

    Attributes:
      iou, outlines: ``(seeds,)`` mean intersection over union, and boundary F within one pixel.
      rate: the learning rate chosen.
      labels: ``(seeds, scenes, height, width)``.
    """

    iou: np.ndarray
    outlines: np.ndarray
    rate: float
    labels: np.ndarray


def train(
    model: models.Model, pool: data.Examples, seeds: np.ndarray, rates: np.ndarray, sizes: Sizes
) -> Fit:
    """Adam with a rate that falls to 0 along a cosine; one member per seed and rate, each with its scenes."""
    rows = [np.random.default_rng(s).permutation(pool.size)[: sizes.scenes] for s in seeds]
    chosen = np.stack(rows)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        fall = schedules.cosine(sizes.steps)
        return Recipe(model, outputs.cross_entropy, {}, optimizer("adam", hyper["rate"], factor=fall))

    return fit(
        recipe_of,
        data.Examples(pool.x[chosen], pool.y[chosen]),
        steps=sizes.steps,
        batch_size=min(sizes.batch, sizes.scenes),
        seeds=seeds,
        hyperparams={"rate": rates},
        start=initial_params(model, seeds, "he_convolution"),
        record=sizes.steps,
        convolutions=True,
        data_per_member=True,
    )


def judge(model: models.Model, scenes: data.Dataset, sizes: Sizes, rates: Sequence[float]) -> Judged:
    """Choose the rate by the loss on validation scenes, train every seed with it, measure on test scenes."""
    others = sizes.seeds + np.arange(sizes.tuning_seeds)
    validation, test = scenes.split("validation"), scenes.split("test")
    spread = np.repeat(np.asarray(rates, np.float32), sizes.tuning_seeds)
    tuning = train(model, scenes.train, np.tile(others, len(rates)), spread, sizes)

    def loss(p: Params):
        measured = outputs.cross_entropy(model.apply(p, validation.x), validation.y)
        return jnp.sum(measured.total) / jnp.sum(measured.count)

    losses = np.asarray(jax.jit(lambda all: jax.lax.map(loss, all))(tuning.params))
    losses = np.where(tuning.stopped_at >= 0, np.inf, losses).reshape(len(rates), -1).mean(1)
    rate = float(rates[int(np.argmin(losses))])
    seeds = np.arange(sizes.seeds)
    result = train(model, scenes.train, seeds, np.full(sizes.seeds, rate, np.float32), sizes)
    answer = jax.jit(lambda all: jax.lax.map(lambda p: jnp.argmax(model.apply(p, test.x), -1), all))
    labels = np.asarray(answer(result.params)).astype(np.int8)
    y, k = np.asarray(test.y), scenes.outputs
    return Judged(
        iou=np.array([outputs.mean_iou(outputs.confusion(each, y, k)) for each in labels]),
        outlines=np.array([outputs.boundary_f(each, y, k) for each in labels]),
        rate=rate,
        labels=labels,
    )


def small_scenes(
    side: int, classes: int, pool: int, validation: int, test: int, *, most: int = 3, clutter: int = 4
) -> data.Dataset:
    """Scenes of one to ``most`` handwritten digits over clutter."""
    return data.load(
        "scenes",
        source="mnist",
        size=(side, side),
        objects=(1, most),
        object_size=(side * 2 // 5, side * 3 // 5),
        clutter=clutter,
        classes=classes,
        n_train=pool,
        n_validation=validation,
        n_test=test,
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
