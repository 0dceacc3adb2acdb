"""A mixture density network and squared error on the same data, each at its best rate and best moment.

Both are one and the same network; squared error uses only its first number, and becomes a density by the
Gaussian around it whose variance is the mean squared error on the validation part. Learning rate (one for
all seeds of a problem) and the step whose parameters are kept (one for each seed) are chosen on the
validation part.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import models, outputs
from dlnotes.data import Examples
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer, schedules
from dlnotes.typing import Array, Params

from ._inverse_problem import INPUTS, Split, together

MIXTURE, SQUARED = 0, 1
RATES = np.array([0.003, 0.01, 0.03, 0.1])
FLOOR = 0.01
"""Least deviation of a component, so that no likelihood is without a bound."""


class Rivals(NamedTuple):
    """What came out; leaves and arrays have leading axes ``(2 rivals, problems, seeds)``.

    Attributes:
      params: chosen.
      nll: on the test part (nats).
      prediction: of the test part, ``(..., n)``: the mixture's mode, the squared error's number.
      sample: one of each predicted distribution, as large.
      rate: ``(2, problems)`` chosen.
    """

    params: Params
    nll: np.ndarray
    prediction: np.ndarray
    sample: np.ndarray
    rate: np.ndarray


def network(components: int, width: int) -> models.Model:
    """One hidden layer of tanh, then the numbers of a mixture of one output."""
    return models.mlp(INPUTS, (width,), 3 * components, activation="tanh")


def train_both(
    problems: list[Split],
    *,
    components: int,
    width: int,
    steps: int,
    batch_size: int,
    first_seed: int = 0,
    snapshots: int = 20,
) -> Rivals:
    """Both rivals on every problem and seed; the networks' seeds start at ``first_seed``."""
    model, data = network(components, width), together(problems)
    shape = (2, len(RATES), len(problems), len(problems[0].train.y))

    def loss_of(kind: Array, raw: Array, y: Array) -> outputs.PerExample:
        nll = outputs.mixture_nll(raw, y, components=components, floor=FLOOR).total
        squared = outputs.squared_error(raw[:, :1], y).total
        return outputs.PerExample(jnp.where(kind == MIXTURE, nll, squared), jnp.ones_like(nll))

    def recipe(hyper: Hyperparams) -> Recipe:
        falling = schedules.cosine(steps)
        change = optimizer("adam", hyper["learning_rate"], clip_norm=1.0, factor=falling)
        return Recipe(model, lambda raw, y: loss_of(hyper["kind"], raw, y), {}, change)

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        return np.broadcast_to(values.reshape([-1 if i == axis else 1 for i in range(4)]), shape).ravel()

    def tiled(examples: Examples) -> Examples:
        return Examples(*(np.tile(a, (2 * len(RATES), 1, 1)) for a in (examples.x, examples.y)))

    kind, seeds = spread(np.arange(2), 0), spread(first_seed + np.arange(shape[-1]), 3)
    result = fit(
        recipe,
        tiled(data.train),
        steps=steps,
        batch_size=batch_size,
        seeds=seeds,
        hyperparams={"kind": kind, "learning_rate": spread(RATES, 1)},
        start=initial_params(model, seeds, "he"),
        every=max(1, steps // snapshots),
        probe=lambda params: params,
        record=steps,
        data_per_member=True,
    )

    @jax.jit
    def score(params, x, y):
        return jax.vmap(lambda *m: jnp.mean(loss_of(m[0], model.apply(m[1], m[2]), m[3]).total))(
            kind, params, x, y
        )

    held = tiled(data.validation)
    count = len(jax.tree.leaves(result.probes)[0])
    scores = [score(jax.tree.map(lambda a, i=i: a[i], result.probes), *held[:2]) for i in range(count)]
    scores = np.where(np.isfinite(scores), scores, np.inf).reshape(count, *shape)
    best = scores.min(0).mean(-1).argmin(1)  # (2, problems) rate
    kinds, places, own = np.ix_(*(np.arange(n) for n in (2, *shape[2:])))
    moment = scores[:, kinds, best[..., None], places, own].argmin(0)  # (2, problems, seeds) snapshot

    def chosen(a: np.ndarray) -> np.ndarray:
        return a.reshape(count, *shape, *a.shape[2:])[moment, kinds, best[..., None], places, own]

    params = jax.tree.map(chosen, result.probes)
    flat = jax.tree.map(lambda a: a.reshape(2, -1, *a.shape[3:]), params)
    judged = _judged(model, flat, data, components)
    return Rivals(params, *(a.reshape(2, *shape[2:], *a.shape[2:]) for a in judged), rate=RATES[best])


def _judged(model: models.Model, params: Params, split: Split, components: int) -> list[np.ndarray]:
    """Likelihood, prediction and sample of each rival and member, leading axes ``(2, members)``."""

    @jax.jit
    def judge(params, validation, test, key):
        def apply(rival: int, x: Array) -> Array:
            return jax.vmap(model.apply)(jax.tree.map(lambda a: a[rival], params), x)

        mixed = outputs.mixture(apply(MIXTURE, test.x), components, floor=FLOOR)
        error = apply(SQUARED, validation.x)[..., :1] - validation.y
        deviation = jnp.sqrt(jnp.mean(jnp.square(error), axis=(1, 2)))[:, None, None]
        mean = apply(SQUARED, test.x)[..., :1]
        gaussian = outputs.Normal(mean, jnp.broadcast_to(deviation, mean.shape))
        log_p = mixed.log_prob(test.y), gaussian.log_prob(test.y)[..., 0]
        keys = jax.random.split(key)
        return (
            jnp.stack([-jnp.mean(value, axis=-1) for value in log_p]),
            jnp.stack([mixed.mode, gaussian.mode])[..., 0],
            jnp.stack([mixed.sample(keys[0]), gaussian.sample(keys[1])])[..., 0],
        )

    return [np.asarray(a) for a in judge(params, split.validation, split.test, jax.random.key(1))]
