"""Training that starts confidently wrong, on real data: shared by the claims on output units.

A linear model learns labels that are all wrong (each class called the next one); its parameters are then
scaled until the median lead of the wrong answer over the right one is a given number of logits. From there
each loss is trained on the true labels by plain SGD, at every rate of a grid. Two of them are reported: the
usual rate, at which training from an ordinary start ends with the lowest training loss, one for each loss;
and the rate that is best for the very start, by its steps on the validation part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, layers, models, outputs
from dlnotes.outputs import LossFn, PerExample
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, predict
from dlnotes.typing import Array


class Recovery(NamedTuple):
    """Steps to the required accuracy, infinite where it was not reached.

    Attributes:
      steps: on the test part, each loss at its usual rate, ``(losses, leads, seeds)``.
      rate: those rates, ``(losses,)``.
      steps_best: the same at the rate that is best for the very start.
      rate_best: those rates, ``(losses, leads)``.
    """

    steps: np.ndarray
    rate: np.ndarray
    steps_best: np.ndarray
    rate_best: np.ndarray


def answers(output: Array, outputs: int) -> Array:
    """The predicted class: of one score its sign, else the largest logit."""
    return (output[..., 0] > 0).astype(jnp.int32) if outputs == 1 else jnp.argmax(output, axis=-1)


def lead_of_wrong(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By how many logits a wrong answer leads the right one, ``(..., rows)`` of ``(..., rows, K or 1)``."""
    if z.shape[-1] == 1:
        return (1 - 2 * y) * z[..., 0]
    right = np.arange(z.shape[-1]) == y[:, None]
    return np.where(right, -np.inf, z).max(-1) - np.where(right, z, 0).sum(-1)


def wrong_starts(dataset: data.Dataset, outputs_: int, leads: np.ndarray, seeds: int) -> layers.Dense:
    """Parameters that are confidently wrong, ``(1 + leads, seeds, ...)``; the first are ordinary starts."""
    model = models.linear(dataset.inputs, outputs_)
    loss = outputs.cross_entropy if outputs_ > 1 else outputs.binary_cross_entropy
    x, y = dataset.train.x, dataset.train.y
    wrong = data.Examples(x, ((y + 1) % max(outputs_, 2)).astype(np.int32))
    learned = fit(
        Recipe(model, loss, {}, optimizer("adam", 0.03)),
        wrong,
        steps=100,
        batch_size=64,
        seeds=range(seeds),
        record=100,
    )
    lead = np.median(lead_of_wrong(predict(model, learned.params, x), y), axis=-1)  # (seeds,)
    scale = leads.astype(np.float32)[:, None] / lead
    ordinary = jax.vmap(lambda seed: model.init(jax.random.key(seed)))(jnp.arange(seeds))
    return jax.tree.map(
        lambda o, a: np.concatenate([o[None], a * scale.reshape(*scale.shape, *[1] * (a.ndim - 1))]),
        ordinary,
        learned.params,
    )


def recover(
    dataset: data.Dataset,
    losses: Sequence[LossFn],
    outputs_: int,
    *,
    leads: np.ndarray,
    rates: np.ndarray,
    seeds: int,
    steps: int,
    every: int,
    accuracy: float,
    batch_size: int = 32,
) -> Recovery:
    """How long each loss takes from every start to the accuracy; looked at after each ``every`` steps."""
    shape = (len(losses), 1 + len(leads), len(rates), seeds)
    starts = wrong_starts(dataset, outputs_, leads, seeds)
    model = models.linear(dataset.inputs, outputs_)

    def recipe(hyper: Hyperparams) -> Recipe:
        def loss(output: Array, y: Array) -> PerExample:
            each = jnp.stack([of(output, y).total for of in losses])
            return PerExample(each[hyper["loss"].astype(jnp.int32)], jnp.ones_like(each[0]))

        return Recipe(model, loss, {}, optimizer("sgd", hyper["learning_rate"]))

    def right(params: layers.Dense) -> Array:
        def share(part: data.Examples) -> Array:
            return jnp.mean(answers(model.apply(params, part.x), outputs_) == part.y)

        return jnp.stack([share(dataset.split(name)) for name in ("validation", "test")])

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        return np.broadcast_to(values.reshape([-1 if i == axis else 1 for i in range(4)]), shape).ravel()

    result = fit(
        recipe,
        dataset.train,
        steps=steps,
        batch_size=batch_size,
        seeds=spread(np.arange(seeds), 3),
        hyperparams={
            "loss": spread(np.arange(len(losses)), 0),
            "learning_rate": spread(np.asarray(rates), 2),
        },
        start=jax.tree.map(
            lambda a: np.broadcast_to(a[None, :, None], (*shape, *a.shape[2:])).reshape(-1, *a.shape[2:]),
            starts,
        ),
        every=every,
        probe=right,
        record=every,
    )
    reached = result.probes.reshape(-1, *shape, 2) >= accuracy  # (snapshots, ..., part)
    first = np.where(reached.any(0), every * reached.argmax(0), np.inf)
    end = result.history["loss"].reshape(-1, *shape)[-10:, :, 0].mean((0, -1))  # (losses, rates)
    usual = np.where(np.isfinite(end), end, np.inf).argmin(-1)
    tuning = np.minimum(first[:, 1:, ..., 0], 2 * steps).mean(-1)  # never counts as twice the steps
    best = tuning.argmin(-1)
    judged = first[:, 1:, ..., 1]
    return Recovery(
        steps=judged[np.arange(len(losses)), :, usual],
        rate=np.asarray(rates)[usual],
        steps_best=np.take_along_axis(judged, best[..., None, None], 2)[:, :, 0],
        rate_best=np.asarray(rates)[best],
    )
