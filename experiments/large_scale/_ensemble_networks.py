"""The networks of an ensemble and their larger rivals: how they are trained and joined."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, logsumexp

from dlnotes import data, models, outputs
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

INPUTS, CLASSES = 784, 10
RATES = (0.0003, 0.001, 0.003)
DROPOUT, INPUT_DROPOUT = 0.5, 0.2
"""As Srivastava et al. 2014 have them for hidden units and for pixels."""
FIRST_SEED = 13_130


class Lengths(NamedTuple):
    """How long trainings are, and those that choose a rate."""

    steps: int
    batch_size: int
    tuning_steps: int
    tuning_seeds: int


Sets = tuple[data.Examples, data.Examples, data.Examples]


def network(width: int, dropout: bool = False) -> models.Model:
    """A perceptron of two hidden layers."""
    units, pixels = (DROPOUT, INPUT_DROPOUT) if dropout else (0.0, 0.0)
    return models.mlp(INPUTS, (width, width), CLASSES, dropout=units, input_dropout=pixels)


def recipe(model: models.Model, steps: int, rate: Array, loss: outputs.LossFn, random: bool) -> Recipe:
    """Adam, whose rate falls to zero twice: half-way stands a training of half as many steps."""
    adam = optimizer("adam", rate, factor=schedules.cosine_restarts(steps, cycles=2))
    return Recipe(model, loss, {}, adam, random=random)


def moments(model: models.Model, trained: Fit, x: np.ndarray) -> np.ndarray:
    """Logits ``(2, members, images, classes)``, half-way and at the end."""
    return np.stack([logits(model, params_at(trained, when), x) for when in (0, 1)])


def params_at(trained: Fit, when: int) -> Params:
    """The parameters of all members half-way (0) or at the end (1)."""
    return jax.tree.map(lambda a: a[1 + when], trained.probes)


def logits(model: models.Model, params: Params, x: np.ndarray) -> np.ndarray:
    """Of every member, one after the other, ``(members, images, classes)``."""
    return np.asarray(jax.jit(lambda p, x: jax.lax.map(lambda one: model.apply(one, x), p))(params, x))


def train(
    model: models.Model,
    lengths: Lengths,
    sets: Sets,
    count: int,
    *,
    random: bool = False,
    first_seed: int = FIRST_SEED,
) -> tuple[Fit, float]:
    """So many trainings, seen half-way and at the end, and their rate, chosen on validation images.

    ``random`` says whether the network has dropout.
    """
    training, validation, _ = sets
    half = lengths.steps // 2

    def recipe_of(steps: int) -> RecipeOf:
        return lambda hyper: recipe(model, steps, hyper["rate"], outputs.cross_entropy, random)

    tuned = tune_briefly_and_train(
        recipe_of,
        training,
        validation,
        {"all": [0]},
        {"rate": RATES},
        start=lambda hyper, seeds: initial_params(model, seeds, "he"),
        seeds=count,
        tuning_seeds=lengths.tuning_seeds,
        first_seed=first_seed,
        steps=2 * half,
        tuning_steps=lengths.tuning_steps,
        batch_size=min(lengths.batch_size, training.size),
        every=half,
        probe=lambda params: params,
        record=half,
    )
    return tuned.fit, RATES[tuned.chosen[0]]


def weighted(output: Array, y: Array, member: Array) -> outputs.PerExample:
    """Cross-entropy of classes, times the weight that an example has for a member.

    ``y`` is ``(batch, 1 + members)``: the class, then the weights.
    """
    found = outputs.cross_entropy(output, y[:, 0].astype(jnp.int32))
    weight = jnp.take(y, 1 + member.astype(jnp.int32), axis=1)
    return found._replace(total=weight * found.total)


def bags(images: int, members: int) -> np.ndarray:
    """How often each member draws each image, ``(images, members)``: as many draws as images."""
    rng = np.random.default_rng(FIRST_SEED)
    return rng.multinomial(images, np.full(images, 1 / images), size=members).T.astype(np.float32)


def train_bagged(model: models.Model, lengths: Lengths, sets: Sets, count: int, rate: float) -> Fit:
    """`train` of members whose images are drawn with replacement, as weights of the images."""
    training, half = sets[0], lengths.steps // 2
    y = np.concatenate([training.y[:, None].astype(np.float32), bags(training.size, count)], axis=1)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        loss = partial(weighted, member=hyper["member"])
        return recipe(model, 2 * half, hyper["rate"], loss, False)

    seeds = FIRST_SEED + np.arange(count)
    return fit(
        recipe_of,
        data.Examples(training.x, y),
        steps=2 * half,
        batch_size=min(lengths.batch_size, training.size),
        seeds=seeds,
        hyperparams={"rate": np.full(count, rate), "member": np.arange(count)},
        start=initial_params(model, seeds, "he"),
        every=half,
        probe=lambda params: params,
        record=half,
    )


def error(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of images classified wrongly, %, for logits ``(…, images, classes)``."""
    return 100 * (logits.argmax(-1) != y).mean(-1)


def joined(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the mean probabilities of members ``(…, members, images, classes)``."""
    logs = log_softmax(logits.astype(np.float64), axis=-1)
    return logsumexp(logs, axis=-3) - np.log(logits.shape[-3])


def nll(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean negative log-likelihood, nats."""
    logs = log_softmax(logits.astype(np.float64), axis=-1)
    return -np.take_along_axis(logs, y.reshape(*(1,) * (logs.ndim - 2), -1, 1), axis=-1).mean((-1, -2))
