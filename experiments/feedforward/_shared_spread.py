"""A spread that no input changes, learned by likelihood, against its closed form; the cost of a density."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, layers, outputs
from dlnotes.jax_internals import operations
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Array

from ._spread_descent import PRECISION, VARIANCE, given, nll, precision_of

SIZES = np.array([64, 256, 1024])
"""Dimensions of the densities whose operations are counted."""


class Spread(NamedTuple):
    """A location with one parameter for its spread, which no input changes."""

    location: layers.Dense
    spread: Array


def shared(n: int, steps: int, seed: int) -> dict[str, np.ndarray]:
    """One σ, v or β beside a linear model of diabetes, and what the closed form says.

    Args:
      n: starts of each parameter.
      steps: full-batch steps.
      seed: of the starts.
    """
    from sklearn.linear_model import LinearRegression

    train = data.load("tabular", name="diabetes").train
    x, y = train.x.astype(np.float64), train.y.astype(np.float64)
    residual = y - LinearRegression().fit(x, y).predict(x)
    features = x.shape[1]

    def apply(params: Spread, x: Array, /, *, key=None, mask=None) -> Array:
        location = layers.dense(params.location, x)
        return jnp.concatenate([location, jnp.full_like(location, params.spread)], axis=-1)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        def loss(raw: Array, y: Array) -> outputs.PerExample:
            return nll(raw[:, :1], precision_of(raw[:, 1:], hyper["kind"]), y)

        rule = optimizer("sgd", 0.02, momentum=0.9, factor=schedules.linear(steps))
        return Recipe(given(start, apply), loss, {}, rule)

    rng = np.random.default_rng(seed)
    W = (0.1 * rng.standard_normal((n, features, 1))).astype(np.float32)
    spread = np.tile(10 ** rng.uniform(-0.15, 0.3, n), 3).astype(np.float32)
    start = Spread(layers.Dense(np.tile(W, (3, 1, 1)), np.zeros((3 * n, 1), np.float32)), jnp.asarray(spread))
    kinds = np.repeat(np.arange(3), n)
    result = fit(
        recipe_of,
        train,
        steps=steps,
        seeds=np.zeros(3 * n, np.int32),  # nothing is drawn: the starts are given
        hyperparams={"kind": kinds},
        start=start,
        record=100,
    )
    theta = result.params.spread.astype(np.float64)
    variance = np.where(kinds == PRECISION, 1 / theta, np.where(kinds == VARIANCE, theta, theta**2))
    return {"shared_variance": variance.reshape(3, n), "closed_form": np.mean(residual**2)}


def full(n: int, steps: int, seed: int) -> dict[str, np.ndarray]:
    """A shared covariance of iris's four measurements against the closed form."""
    from sklearn.datasets import load_iris

    x = np.asarray(load_iris(return_X_y=True)[0], np.float64)
    x = (x - x.mean(0)) / x.std(0)
    d = x.shape[1]

    def apply(params: Array, x: Array, /, *, key=None, mask=None) -> Array:
        return jnp.broadcast_to(params, (x.shape[0], params.shape[0]))

    rule = optimizer("adam", 0.05, factor=schedules.linear(steps))
    start = 0.3 * np.random.default_rng(seed).standard_normal((n, d + d * (d + 1) // 2), np.float32)
    result = fit(
        Recipe(given(start, apply), outputs.full_covariance_nll, {}, rule),
        data.Examples(x.astype(np.float32), x.astype(np.float32)),
        steps=steps,
        seeds=np.zeros(n, np.int32),
        start=start,
        record=100,
    )
    covariance = np.asarray(outputs.full_covariance(jnp.asarray(result.params), d).covariance, np.float64)
    expected = x.T @ x / len(x)
    apart = np.linalg.norm(covariance - expected, axis=(1, 2)) / np.linalg.norm(expected)
    return {"covariance_apart": apart}


def from_covariance(covariance: Array, y: Array) -> Array:
    """log N(y; 0, Σ) of one vector."""
    return outputs.FullNormal(jnp.zeros_like(y), jnp.linalg.cholesky(covariance)).log_prob(y)


def cost() -> dict[str, np.ndarray]:
    """Operations of one log-density by d: from Σ, from its factor, from a diagonal of β."""

    def from_factor(factor: Array, y: Array) -> Array:
        return outputs.FullNormal(jnp.zeros_like(y), factor).log_prob(y)

    def from_diagonal(factor: Array, y: Array) -> Array:
        return outputs.DiagonalNormal(jnp.zeros_like(y), factor[0]).log_prob(y)

    counts = []
    for d in SIZES:
        shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((d, d), (d,))]
        # XLA counts the operations of its own Cholesky and triangular solve, not those of the library that
        # it calls on CPUs: so the count is taken of the program lowered for a device where they are its own.
        lowered = [
            jax.jit(f).trace(*shapes).lower(lowering_platforms=("tpu",))
            for f in (from_covariance, from_factor, from_diagonal)
        ]
        counts.append([operations(low) for low in lowered])
    return {"flops": np.array(counts).T}
