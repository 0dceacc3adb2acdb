"""Autoencoders whose code is penalized for dependence, and what can be said of a code's density."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import models, outputs
from dlnotes.training import Hyperparams, Recipe, optimizer, schedules
from dlnotes.typing import Array, Params, PRNGKey


class Coder(NamedTuple):
    """Parameters of an autoencoder.

    Attributes:
      encoder: from inputs to the code.
      decoder: from the code to the inputs.
    """

    encoder: models.MLP
    decoder: models.MLP


class Coded(NamedTuple):
    """What an autoencoder gives.

    Attributes:
      output: ``(batch, inputs)`` the reconstruction.
      code: ``(batch, units)``.
    """

    output: Array
    code: Array


def coder(inputs: int, hidden: Sequence[int], units: int) -> models.Model:
    """ReLU layers down to a linear code, and the same layers back; without any, all is linear."""
    start = "he_normal" if hidden else "glorot_normal"
    down = models.mlp(inputs, tuple(hidden), units, initializer=start)
    up = models.mlp(units, tuple(reversed(hidden)), inputs, initializer=start)

    def init(key: PRNGKey, /) -> Coder:
        first, second = jax.random.split(key)
        return Coder(down.init(first), up.init(second))

    def apply(params: Coder, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Any:
        code = down.apply(params.encoder, x)
        return Coded(up.apply(params.decoder, code), code)

    return models.Model(init, apply)


def correlation(h: Array) -> Array:
    """Mean squared correlation over all pairs of columns, ``()``: 0 for columns without a linear relation."""
    h = h - jnp.mean(h, axis=0, keepdims=True)
    covariance = h.T @ h
    own = jnp.diagonal(covariance)
    squared = covariance**2 / (own[:, None] * own[None, :] + 1e-12)
    units = h.shape[1]
    return (jnp.sum(squared) - jnp.sum(jnp.diagonal(squared))) / (units * (units - 1))


def unexplained(spread: float) -> outputs.LossFn:
    """Squared error of the reconstruction over the variance of the inputs: 0 is exact, 1 their mean."""

    def measure(coded: Any, x: Array) -> outputs.PerExample:
        return outputs.PerExample(
            jnp.sum((coded.output - x) ** 2, axis=-1) / spread, jnp.ones(x.shape[0], jnp.float32)
        )

    return measure


def objective(spread: float, weight: Array, linear: Array) -> outputs.LossFn:
    """`unexplained`, and ``weight`` times the `dlnotes.outputs.dependence` of the batch's code.

    Args:
      spread: variance of the inputs.
      weight: of the penalty.
      linear: 1 where correlations are penalized instead.
    """
    reconstruction = unexplained(spread)

    def measure(coded: Any, x: Array) -> outputs.PerExample:
        found = reconstruction(coded, x)
        penalty = jnp.where(linear > 0, correlation(coded.code), outputs.dependence(coded.code))
        return outputs.PerExample(found.total + weight * penalty, found.count)

    return measure


def recipe_of(inputs: int, hidden: tuple[int, ...], units: int, spread: float, steps: int):
    """An autoencoder by a member's weight, kind of penalty and rate."""
    fall = schedules.cosine_restarts(steps, cycles=2)
    model = coder(inputs, hidden, units)

    def build(hyper: Hyperparams) -> Recipe:
        loss = objective(spread, hyper["weight"], hyper["linear"])
        adam = optimizer("adam", hyper["rate"], factor=fall)
        return Recipe(model, loss, {"unexplained": unexplained(spread)}, adam)

    return build


def coded(model: models.Model, params: Params, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes ``(members, n, units)`` of all members, and the squared errors ``(members, n)``."""

    def one(p: Params) -> tuple[Array, Array]:
        found: Any = model.apply(p, x)
        return found.code, jnp.sum((found.output - x) ** 2, axis=-1)

    codes, errors = jax.jit(lambda all: jax.lax.map(one, all))(params)
    return np.asarray(codes), np.asarray(errors)


def linear_dependence(code: np.ndarray) -> float:
    """Mean squared correlation over pairs of units; of a unit that is constant it is 0."""
    varies = code.std(0) > 0
    found = np.zeros((code.shape[1],) * 2)
    found[np.ix_(varies, varies)] = np.corrcoef(code[:, varies].T) ** 2
    k = len(found)
    return float((found.sum() - np.trace(found)) / (k * (k - 1)))


def blockwise(codes: np.ndarray, rows: int) -> np.ndarray:
    """`dlnotes.outputs.dependence` of each code ``(members, n, units)``: the mean over blocks of rows."""
    members, n, units = codes.shape
    rows = min(rows, n)
    blocks = jnp.asarray(codes[:, : n // rows * rows].reshape(-1, rows, units))
    found = jax.jit(lambda b: jax.lax.map(outputs.dependence, b))(blocks)
    return np.asarray(found).reshape(members, -1).mean(1)


def normal_scores(by: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Each column of ``codes`` moved so that it is a standard normal number by the ranks in ``by``.

    It is what a product of the columns' own distributions, as ``by`` has them, takes for independent normals.
    """
    from scipy.special import ndtri

    n = len(by)
    levels = np.arange(1, n + 1) / (n + 1)
    ranks = [np.interp(c, np.sort(b), levels) for b, c in zip(by.T, codes.T)]
    return ndtri(np.stack(ranks, axis=1))


def nats_lost(
    train: np.ndarray, validation: np.ndarray, test: np.ndarray, components: Sequence[int], seed: int
) -> float:
    """Nats per example by which a factorial density of a code is worse than a joint one, on ``test``.

    Both have the columns' own distributions from ``train``. The factorial density is their product. The joint
    one is a mixture of normals with full covariances over the normal scores, where the product is one
    standard normal; of the mixtures, and that product, the best on ``validation`` is taken. The mean
    difference of the log densities is, up to how well the mixture fits, the total correlation of the code.

    Args:
      train, validation, test: codes, ``(n, units)``.
      components: numbers of normals to choose from.
      seed: of the mixtures' starts.
    """
    from scipy.stats import norm
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    fitted, held, judged = (normal_scores(train, part) for part in (train, validation, test))
    factorial = [norm.logpdf(part).sum(1).mean() for part in (held, judged)]
    best = (0.0, 0.0)
    for k in components:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            joint = GaussianMixture(k, reg_covar=1e-3, random_state=seed, max_iter=50).fit(fitted)
        best = max(best, (joint.score(held) - factorial[0], joint.score(judged) - factorial[1]))
    return float(best[1])


def energy_distance(a: np.ndarray, b: np.ndarray) -> float:
    """``2 E|A − B| − E|A − A′| − E|B − B′|`` of rows: 0 only where the two distributions are one."""
    from scipy.spatial.distance import cdist, pdist

    return float(2 * cdist(a, b).mean() - pdist(a).mean() - pdist(b).mean())


def shuffled(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each column in an order of its own: a sample of the product of the columns' distributions."""
    return np.stack([rng.permutation(column) for column in codes.T], axis=1)
