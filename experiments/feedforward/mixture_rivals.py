"""A mixture density network and squared error on the same data, each at its best rate and best moment.

Both are one and the same network; squared error uses only its first number, and becomes a density by the
Gaussian around it whose variance is the mean squared error on the validation part. Learning rate (one for
all seeds) and the step whose parameters are kept (one for each seed) are chosen on the validation part.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.experiment.fitting import fit
from dlnotes.models.model import Model
from dlnotes.outputs.losses import PerExample
from dlnotes.training import schedules
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Hyper, Recipe
from dlnotes.typing import Array, Params

from .inverse_problem import Split

MIXTURE, SQUARED = 0, 1
RATES = np.array([0.003, 0.01, 0.03, 0.1])
FLOOR = 0.01
"""Least deviation of a component, so that no likelihood is without a bound."""


class Rivals(NamedTuple):
    """What came out; leaves and arrays have leading axes ``(2 rivals, seeds)``.

    Attributes:
      params: chosen.
      nll: on the test part (nats).
      prediction: of the test part, ``(2, seeds, n)``: the mixture's mode, the squared error's number.
      sample: one of each predicted distribution, as large.
      variance: ``(seeds,)`` of the Gaussian.
      rate: ``(2,)`` chosen.
    """

    params: Params
    nll: np.ndarray
    prediction: np.ndarray
    sample: np.ndarray
    variance: np.ndarray
    rate: np.ndarray


def network(inputs: int, width: int, components: int) -> Model:
    """One hidden layer of tanh, numbers of a mixture of ``components``."""
    return models.mlp(inputs, (width,), 3 * components, activation="tanh", initializer="glorot_normal")


def train(
    split: Split, *, width: int, components: int, steps: int, batch_size: int | None, snapshots: int = 20
) -> Rivals:
    """Both rivals on every seed's data."""
    seeds, _, inputs = split.train.x.shape
    model = network(inputs, width, components)
    shape = (2, len(RATES), seeds)

    def loss_of(kind: Array, raw: Array, y: Array) -> PerExample:
        nll = outputs.mixture_nll(raw, y, components=components, floor=FLOOR).total
        squared = outputs.squared_error(raw[:, :1], y).total
        return PerExample(jnp.where(kind == MIXTURE, nll, squared), jnp.ones_like(nll))

    def recipe(hyper: Hyper) -> Recipe:
        change = optimizer("adam", hyper["learning_rate"], clip_norm=1.0, factor=schedules.cosine(steps))
        return Recipe(model, lambda raw, y: loss_of(hyper["kind"], raw, y), {}, change)

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        return np.broadcast_to(values.reshape([-1 if i == axis else 1 for i in range(3)]), shape).ravel()

    def tiled(examples: Examples) -> Examples:
        return Examples(*(np.tile(a, (2 * len(RATES), 1, 1)) for a in (examples.x, examples.y)))

    kind = spread(np.arange(2), 0)
    result = fit(
        recipe,
        tiled(split.train),
        steps=steps,
        batch_size=batch_size,
        seeds=spread(np.arange(seeds), 2),
        hypers={"kind": kind, "learning_rate": spread(RATES, 1)},
        every=max(1, steps // snapshots),
        probe=lambda params: params,
        record=steps,
        data_per_member=True,
    )

    @jax.jit
    @jax.vmap
    def score(kind, params, x, y):
        return jnp.mean(loss_of(kind, model.apply(params, x), y).total)

    judge = tiled(split.validation)
    count = len(jax.tree.leaves(result.probes)[0])
    scores = np.stack(
        [score(kind, jax.tree.map(lambda a, i=i: a[i], result.probes), *judge[:2]) for i in range(count)]
    )
    scores = np.where(np.isfinite(scores), scores, np.inf).reshape(count, *shape)
    best = scores.min(0).mean(-1).argmin(-1)  # (2,) rate
    moment = scores[:, np.arange(2), best].argmin(0)  # (2, seeds) snapshot

    def chosen(a: np.ndarray) -> np.ndarray:
        a = a.reshape(count, *shape, *a.shape[2:])
        return a[moment, np.arange(2)[:, None], best[:, None], np.arange(seeds)]

    params = jax.tree.map(chosen, result.probes)
    return Rivals(params, *_judged(model, params, split, components), rate=RATES[best])


def _judged(model: Model, params: Params, split: Split, components: int):
    """Likelihoods, predictions, samples and the Gaussian's variance of each seed."""

    @jax.jit
    @jax.vmap
    def one(params, validation, test, key):
        both, a, b = jax.tree.map(lambda a: a[0], params), *jax.random.split(key)
        mixed = outputs.mixture(model.apply(both, test.x), components, floor=FLOOR)
        mean = jax.tree.map(lambda a: a[1], params)
        variance = jnp.mean(jnp.square(model.apply(mean, validation.x)[:, :1] - validation.y))
        gaussian = outputs.Normal(model.apply(mean, test.x)[:, :1], jnp.sqrt(variance))
        return (
            jnp.stack([-jnp.mean(mixed.log_prob(test.y)), -jnp.mean(gaussian.log_prob(test.y))]),
            jnp.stack([mixed.mode[:, 0], gaussian.mean[:, 0]]),
            jnp.stack([mixed.sample(a)[:, 0], gaussian.sample(b)[:, 0]]),
            variance,
        )

    seeds = len(split.test.y)
    by_seed = jax.tree.map(lambda a: np.moveaxis(a, 0, 1), params)
    found = one(by_seed, split.validation, split.test, jax.random.split(jax.random.key(1), seeds))
    return [*(np.moveaxis(np.asarray(a), 0, 1) for a in found[:3]), np.asarray(found[3])]
