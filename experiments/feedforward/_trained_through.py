"""Steps that networks with saturating outputs need to an accuracy, by loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, fit, optimizer
from dlnotes.typing import Array, Params

TRAINED = ("cross-entropy", "squared error", "absolute error")
CROSS_ENTROPY, SQUARED, ABSOLUTE = range(3)
RATES = np.array([[0.01, 0.03, 0.1, 0.3, 1, 3], *[[0.3, 1, 3, 10, 30, 100]] * 2])
"""Learning rates to choose from, one row a loss."""
WRONG = 10.0
"""By how many logits the wrong answer leads where gradients are compared."""


class Task(NamedTuple):
    """Two or ten classes, the accuracy that training has to reach, and the steps between two looks at it.

    Where ``bias`` is not 0 it is where the output's bias of one class starts: the network is then sure of a
    class, which depends on the seed.
    """

    train: data.Examples
    validation: data.Examples
    test: data.Examples
    logits: int
    accuracy: float
    every: int
    bias: float = 0.0


def digits(bias: float) -> Task:
    """Ten classes through softmax, 90%."""
    found = data.load("digits")
    return Task(found.train, found.split("validation"), found.split("test"), 10, 0.9, 4, bias)


def three_or_five(images: int, bias: float) -> Task:
    """MNIST's 3 and 5, two classes that are alike, through a sigmoid, 97%; at most so many test images."""
    found = data.load("mnist")

    def pair(name: str, most: int | None) -> data.Examples:
        x, y = found.split(name)[:2]
        rows = np.flatnonzero((y == 3) | (y == 5))[:most]
        return data.Examples(x[rows], (y[rows] == 5).astype(np.int32))

    return Task(pair("train", None), pair("validation", images // 2), pair("test", images), 1, 0.97, 8, bias)


def of_probabilities(error: Callable[[Array], Array]) -> outputs.LossFn:
    """A loss of softmax or sigmoid probabilities: the mean ``error`` of their differences from the labels."""

    def loss(logits: Array, y: Array) -> outputs.PerExample:
        if logits.shape[-1] == 1:
            difference = jax.nn.sigmoid(logits) - y[:, None].astype(jnp.float32)
        else:
            difference = jax.nn.softmax(logits) - jax.nn.one_hot(y, logits.shape[-1])
        return outputs.PerExample(jnp.mean(error(difference), axis=-1), jnp.ones(len(y)))

    return loss


def losses_of(logits: int) -> tuple[outputs.LossFn, ...]:
    """In the order of `TRAINED`."""
    likelihood = outputs.cross_entropy if logits > 1 else outputs.binary_cross_entropy
    return likelihood, of_probabilities(jnp.square), of_probabilities(jnp.abs)


def gradient_left(logits: int) -> np.ndarray:
    """Gradient by the logits where the wrong answer leads, over that at equal logits, of each loss."""
    y = jnp.array([1])
    wrong = jnp.full((1, 1), -WRONG) if logits == 1 else WRONG * jax.nn.one_hot(jnp.array([0]), logits)

    def size(loss: outputs.LossFn, z: Array) -> Array:
        return jnp.linalg.norm(jax.grad(lambda z: jnp.sum(loss(z, y).total))(z))

    return np.array([float(size(f, wrong) / size(f, jnp.zeros_like(wrong))) for f in losses_of(logits)])


def looked_at(task: Task, rates: np.ndarray, seeds: np.ndarray, looks: int) -> np.ndarray:
    """Accuracy on validation and test, ``(looks + 1, losses, rates, seeds, 2)``, at ``(losses, rates)``."""
    shape = (*rates.shape, len(seeds))
    model = models.mlp(task.train.x.shape[1:], (32,), task.logits, activation="tanh")
    losses = losses_of(task.logits)

    def recipe(hyper: Hyperparams) -> Recipe:
        def loss(output: Array, y: Array) -> outputs.PerExample:
            each = jnp.stack([of(output, y).total for of in losses])
            return outputs.PerExample(each[hyper["loss"].astype(jnp.int32)], jnp.ones_like(each[0]))

        return Recipe(model, loss, {}, optimizer("sgd", hyper["learning_rate"]))

    def look(params: Params) -> Array:
        def share(part: data.Examples) -> Array:
            z = model.apply(params, part.x)
            answer = (z[:, 0] > 0).astype(jnp.int32) if task.logits == 1 else jnp.argmax(z, axis=-1)
            return jnp.mean(answer == part.y)

        return jnp.stack([share(task.validation), share(task.test)])

    members = np.tile(seeds, shape[0] * shape[1])
    start = jax.jit(jax.vmap(lambda seed: model.init(jax.random.key(seed))))(members)
    sure = (-1.0) ** members[:, None] if task.logits == 1 else np.eye(task.logits)[members % task.logits]
    output = start.output._replace(b=start.output.b + (task.bias * sure).astype(np.float32))
    found = fit(
        recipe,
        task.train,
        steps=task.every * looks,
        batch_size=32,
        seeds=members,
        start=start._replace(output=output),
        hyperparams={
            "loss": np.repeat(np.arange(shape[0]), shape[1] * shape[2]),
            "learning_rate": np.repeat(rates, shape[2]),
        },
        every=task.every,
        probe=look,
        record=task.every,
    )
    return found.probes.reshape(-1, *shape, 2)


def steps_to(task: Task, accuracy: np.ndarray) -> np.ndarray:
    """Steps until accuracies ``(looks + 1, ...)`` reach the task's; one look more than there are if never."""
    reached = accuracy >= task.accuracy
    return np.where(reached.any(0), np.maximum(1, task.every * reached.argmax(0)), task.every * len(accuracy))


def measure_task(task: Task, *, looks: int, seeds: int, tuning_seeds: int, first_seed: int) -> dict[str, Any]:
    """Steps to the accuracy on the test part ``(losses, seeds)``, each loss at its best rate.

    The rate is that of the fewest steps to the accuracy on validation, on seeds of its own.
    """
    own = first_seed + seeds + np.arange(tuning_seeds)
    tuning = steps_to(task, looked_at(task, RATES, own, looks)[..., 0])
    chosen = RATES[np.arange(len(RATES)), tuning.mean(-1).argmin(-1)]
    found = looked_at(task, chosen[:, None], first_seed + np.arange(seeds), looks)[:, :, 0, :, 1]
    return {
        "steps": steps_to(task, found).astype(np.float64),
        "rate": chosen,
        "last": found[-1],
        "left": gradient_left(task.logits),
        "longest": task.every * (looks + 1),
    }
