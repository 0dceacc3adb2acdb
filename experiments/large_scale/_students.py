"""Students of an ensemble: what they are shown, who answers, how they are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Fit, Hyperparams, Recipe, RecipeOf, fit, initial_params
from dlnotes.typing import Array

from ._ensemble_networks import CLASSES, Lengths, error, logits, moments, recipe

SIZE = 28 * 28
NOISE = 0.1
"""Standard deviation of what is added to a copy's gray levels, which lie between 0 and 1."""
SMOOTHING = 0.1
RATES = (0.003, 0.01, 0.03)
USUAL_RATE = 0.01
"""At which a temperature is chosen, before its rate."""
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
FIRST_SEED = 13_650


class Arm(NamedTuple):
    """What a student learns from.

    Attributes:
      name: of the arm.
      inputs: "images", "copies", "generated" or "noise".
      share: of the teacher in the loss; labels have the rest.
      smoothing: of the labels.
    """

    name: str
    inputs: str
    share: float
    smoothing: float = 0.0


ARMS = (
    Arm("labels", "images", 0.0),
    Arm("smoothed labels", "images", 0.0, SMOOTHING),
    Arm("labels, copies", "copies", 0.0),
    Arm("teacher, images", "images", 1.0),
    Arm("teacher, copies", "copies", 1.0),
    Arm("teacher, generated", "generated", 1.0),
    Arm("teacher, noise", "noise", 1.0),
)
LABELS, SMOOTHED, COPIED, SOFT, SOFT_COPIED, SOFT_GENERATED, SOFT_NOISE = range(len(ARMS))


def corrupted(x: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """So many copies of images ``(n, 784)``, each with `NOISE` added."""
    return np.tile(x, (copies, 1)) + np.float32(NOISE) * rng.standard_normal(
        (copies * len(x), x.shape[1]), np.float32
    )


def generated(x: np.ndarray, count: int, rng: np.random.Generator, components: int = 60) -> np.ndarray:
    """Points of a mixture of normal distributions, fitted to the first principal components of images."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    x = x.astype(np.float64)  # in which covariances stay positive
    axes = PCA(min(40, *x.shape), random_state=0).fit(x)
    mixture = GaussianMixture(
        min(components, len(x) // 20), covariance_type="full", reg_covar=1e-2, max_iter=50, random_state=0
    )
    mixture.fit(axes.transform(x))
    mixture.random_state = int(rng.integers(2**31))
    points, _ = mixture.sample(count)
    return np.clip(axes.inverse_transform(rng.permutation(points)), 0, 1).astype(np.float32)


def inputs_of(train: data.Examples, copies: int) -> dict[str, data.Examples]:
    """The inputs of all arms; where nobody knows the class it is -1."""
    rng, n = np.random.default_rng(FIRST_SEED), train.size
    unknown = np.full(copies * n, -1, np.int32)
    return {
        "images": train,
        "copies": data.Examples(corrupted(train.x, copies, rng), np.tile(train.y, copies)),
        "generated": data.Examples(generated(train.x, copies * n, rng), unknown),
        "noise": data.Examples(rng.random((copies * n, SIZE), np.float32), unknown),
    }


def answered(examples: data.Examples, answers: np.ndarray) -> data.Examples:
    """Examples whose target is the class, then the answers of each teacher, ``(teachers, n, classes)``."""
    beside = np.moveaxis(answers, 0, 1).reshape(examples.size, -1)
    return data.Examples(examples.x, np.concatenate([examples.y[:, None].astype(np.float32), beside], axis=1))


def learned(output: Array, y: Array, *, arm: Arm, teacher: Array, temperature: Array) -> outputs.PerExample:
    """The loss of `answered` targets by one of their teachers."""
    first = 1 + CLASSES * teacher.astype(jnp.int32)
    answers = jax.lax.dynamic_slice_in_dim(y, first, CLASSES, axis=1)
    return outputs.distillation(
        output,
        y[:, 0].astype(jnp.int32),
        answers,
        temperature=temperature,
        share=arm.share,
        label_smoothing=arm.smoothing,
    )


def choose(
    score: Callable[[Sequence[tuple[float, float]]], Sequence[float]], temperatures: Sequence[float]
) -> tuple[float, float]:
    """The temperature with the best score at the usual rate, then the rate with the best at that temperature.

    Args:
      score: of each pair of a rate and a temperature; larger is better.
      temperatures: to choose from.

    Returns:
      The rate and the temperature.
    """
    first = [(USUAL_RATE, t) for t in temperatures]
    found = dict(zip(first, score(first)))
    _, temperature = max(first, key=lambda pair: found[pair])
    others = [(rate, temperature) for rate in RATES if rate != USUAL_RATE]
    found |= dict(zip(others, score(others)))
    return max([(rate, temperature) for rate in RATES], key=lambda pair: found[pair])


def train_students(
    model: models.Model,
    arm: Arm,
    examples: data.Examples,
    sets: Sequence[data.Examples],
    lengths: Lengths,
    seeds: int,
) -> tuple[np.ndarray, float, float]:
    """Test errors ``(2, seeds)`` half-way and at the end, %, and the rate and temperature that were chosen.

    Seed i learns from teacher i. Other starts choose, with the first teachers, by the accuracy on validation
    images: first the temperature, at a usual rate, then the rate at that temperature.

    Args:
      model: the student.
      arm: what it learns from.
      examples: `answered`.
      sets: validation and test images.
      lengths: of trainings.
      seeds: of students that are judged.
    """
    validation, test = sets

    def recipe_of(steps: int) -> RecipeOf:
        def of(hyper: Hyperparams) -> Recipe:
            how = {name: hyper[name] for name in ("teacher", "temperature")}
            return recipe(model, steps, hyper["rate"], partial(learned, arm=arm, **how), False)

        return of

    def run(steps: int, own: np.ndarray, hyper: dict[str, np.ndarray]) -> Fit:
        half = max(1, steps // 2)
        return fit(
            recipe_of(2 * half),
            examples,
            steps=2 * half,
            batch_size=min(lengths.batch_size, examples.size),
            seeds=own,
            hyperparams=hyper,
            start=initial_params(model, own, "he"),
            every=half,
            probe=lambda params: params,
            record=half,
        )

    def right(grid: Sequence[tuple[float, float]]) -> list[float]:
        """Of each rate and temperature, minus the mean validation error of its trainings, %."""
        n = lengths.tuning_seeds
        points = np.repeat(np.array(grid, np.float32), n, axis=0)
        own = np.tile(FIRST_SEED + seeds + np.arange(n), len(grid))
        teacher = np.tile(np.arange(n), len(grid))
        hyper = {"rate": points[:, 0], "temperature": points[:, 1], "teacher": teacher}
        tried = run(lengths.tuning_steps, own, hyper)
        found = -error(logits(model, tried.params, validation.x), validation.y)
        return np.where(tried.stopped_at >= 0, -np.inf, found).reshape(len(grid), n).mean(1).tolist()

    rate, temperature = choose(right, TEMPERATURES if arm.share else TEMPERATURES[:1])
    chosen = {"rate": np.full(seeds, rate), "temperature": np.full(seeds, temperature)}
    judged = run(lengths.steps, FIRST_SEED + np.arange(seeds), chosen | {"teacher": np.arange(seeds)})
    return error(moments(model, judged, test.x), test.y), rate, temperature
