"""Losses: −log p of each example, and the one rule that reduces them.

A loss returns a `PerExample`: the sum over an example's targets and how many targets it has. The
objective of a batch is ``Σ w·total / Σ w·count``. Because sums and counts add up, neither padding,
nor the number of devices, nor gradient accumulation can change it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.outputs.distributions import Bernoulli, Categorical, Laplace, Normal
from dlnotes.outputs.units import full_covariance, heteroscedastic, mixture
from dlnotes.typing import IGNORE, Array


class PerExample(NamedTuple):
    """A quantity summed over the targets of each example.

    Attributes:
      total: ``(batch,)`` float32 sums.
      count: ``(batch,)`` float32 number of targets summed (1 for a plain label).
    """

    total: Array
    count: Array


LossFn = Callable[[Array, Array], PerExample]
"""``measure(output, y) -> PerExample``: what a loss and a metric both are."""


def target_count(y: Array) -> Array:
    """How many targets each example has, ``(batch,)`` float32; `IGNORE` labels do not count."""
    if jnp.issubdtype(y.dtype, jnp.integer):
        return jnp.sum((y != IGNORE).astype(jnp.float32).reshape(y.shape[0], -1), axis=-1)
    return jnp.ones(y.shape[0], jnp.float32)


def mean_of(measured: PerExample, weight: Array) -> Array:
    """``Σ w·total / Σ w·count`` over a batch, 0 where nothing counts.

    Args:
      measured: of a batch.
      weight: ``(batch,)``, 1 for a real example and 0 for padding.

    Example:
      >>> import jax.numpy as jnp
      >>> m = PerExample(jnp.array([2.0, 9.0, 5.0]), jnp.array([1.0, 3.0, 1.0]))
      >>> float(mean_of(m, jnp.array([1.0, 1.0, 0.0])))
      2.75
    """
    return jnp.sum(weight * measured.total) / jnp.maximum(jnp.sum(weight * measured.count), 1.0)


def _sum_positions(values: Array) -> Array:
    return jnp.sum(values.astype(jnp.float32).reshape(values.shape[0], -1), axis=-1)


def cross_entropy(logits: Array, y: Array, *, label_smoothing: float | Array = 0.0) -> PerExample:
    """Negative log-likelihood of a categorical output, ``−log softmax(z)_y``.

    With smoothing ε the target is ``(1 − ε)·1_y + ε/K``.

    Args:
      logits: ``(batch, ..., K)``.
      y: ``(batch, ...)`` int classes; `IGNORE` (-1) marks a position without a target.
      label_smoothing: ε in [0, 1); may be traced.
    """
    logits = logits.astype(jnp.float32)
    real = y != IGNORE
    nll = -Categorical(logits).log_prob(jnp.where(real, y, 0))
    if not (isinstance(label_smoothing, (int, float)) and label_smoothing == 0):
        uniform = -jnp.mean(logits, axis=-1) + jnp.max(logits, axis=-1)
        log_normalizer = jnp.log(jnp.sum(jnp.exp(logits - jnp.max(logits, -1, keepdims=True)), -1))
        nll = (1 - label_smoothing) * nll + label_smoothing * (uniform + log_normalizer)
    return PerExample(_sum_positions(jnp.where(real, nll, 0.0)), target_count(y))


def over_steps(loss: LossFn, output: Array, y: Array) -> PerExample:
    """The mean of a loss over the steps of a network that answers several times.

    Args:
      loss: of one answer.
      output: ``(batch, ..., steps, K)``.
      y: ``(batch, ...)`` the targets of every step.

    Example:
      >>> import jax.numpy as jnp
      >>> z = jnp.array([[[0.0, 0.0], [0.0, 50.0]]])
      >>> round(float(over_steps(cross_entropy, z, jnp.array([1])).total[0]), 4)
      0.3466
    """
    steps = output.shape[-2]
    measured = loss(output, jnp.broadcast_to(y[..., None], (*y.shape, steps)))
    return PerExample(measured.total / steps, measured.count / steps)


def binary_cross_entropy(logits: Array, y: Array) -> PerExample:
    """``ζ((1 − 2y)z)`` for logits ``(batch,)`` or ``(batch, 1)`` and labels ``(batch,)`` in {0, 1}."""
    z = logits.astype(jnp.float32).reshape(y.shape)
    nll = jnp.where(y == IGNORE, 0.0, -Bernoulli(z).log_prob(y))
    return PerExample(_sum_positions(nll), target_count(y))


def _numbers(prediction: Array, y: Array) -> tuple[Array, Array]:
    """Both as float32, checked to be of one shape: (n,) against (n, 1) would broadcast to (n, n)."""
    if prediction.shape != y.shape:
        raise ValueError(f"prediction: got shape {prediction.shape}, allowed is that of y, {y.shape}")
    return prediction.astype(jnp.float32), y.astype(jnp.float32)


def squared_error(prediction: Array, y: Array) -> PerExample:
    """``mean_j (ŷ_j − y_j)²`` of each example; both ``(batch, outputs)``."""
    prediction, y = _numbers(prediction, y)
    total = _sum_positions(jnp.square(prediction - y)) / (y.size / y.shape[0])
    return PerExample(total, target_count(y))


def absolute_error(prediction: Array, y: Array) -> PerExample:
    """``mean_j |ŷ_j − y_j|`` of each example; its minimizer is the conditional median."""
    prediction, y = _numbers(prediction, y)
    total = _sum_positions(jnp.abs(prediction - y)) / (y.size / y.shape[0])
    return PerExample(total, target_count(y))


def pinball(prediction: Array, y: Array, *, quantile: float | Array) -> PerExample:
    """``mean_j max(τ e_j, (τ − 1) e_j)`` with ``e = y − ŷ``; its minimizer is the conditional τ-quantile.

    Args:
      prediction, y: both ``(batch, outputs)``.
      quantile: τ in (0, 1); may be traced. At 1/2 it is half of `absolute_error`.

    Raises:
      ValueError: on a quantile outside (0, 1), or shapes that differ.

    Source: Koenker and Bassett, 1978; notes F2.5.

    Example:
      >>> import jax.numpy as jnp
      >>> too_low, too_high = jnp.array([[1.0]]), jnp.array([[3.0]])
      >>> y = jnp.array([[2.0]])
      >>> [round(float(pinball(p, y, quantile=0.9).total[0]), 3) for p in (too_low, too_high)]
      [0.9, 0.1]
    """
    if isinstance(quantile, (int, float)) and not 0 < quantile < 1:
        raise ValueError(f"quantile: got {quantile}, allowed is 0 < quantile < 1")
    prediction, y = _numbers(prediction, y)
    error = y - prediction
    total = _sum_positions(jnp.maximum(quantile * error, (quantile - 1) * error)) / (y.size / y.shape[0])
    return PerExample(total, target_count(y))


def gaussian_nll(prediction: Array, y: Array) -> PerExample:
    """``−log N(y; ŷ, 1)`` summed over outputs: half the squared error plus a constant."""
    prediction, y = _numbers(prediction, y)
    log_p = Normal(prediction).log_prob(y)
    return PerExample(_sum_positions(-log_p), target_count(y))


def likelihood(distribution: Callable[[Array], Any], raw: Array, y: Array) -> PerExample:
    """``−log p(y)`` of a distribution of vectors, or of single numbers whose log-densities are summed.

    Args:
      distribution: from the raw output to the distribution (see `dlnotes.outputs.units`).
      raw: ``(batch, ...)``.
      y: ``(batch, outputs)``.

    Raises:
      ValueError: when the distribution is of another shape than ``y``.
    """
    given = distribution(raw.astype(jnp.float32))
    if given.mean.shape != y.shape:
        raise ValueError(f"raw: gives a distribution of shape {given.mean.shape}, y has {y.shape}")
    return PerExample(_sum_positions(-given.log_prob(y.astype(jnp.float32))), target_count(y))


def laplace_nll(prediction: Array, y: Array) -> PerExample:
    """``−log`` of a Laplace density of scale 1: the absolute error, summed, plus a constant."""
    return likelihood(Laplace, prediction, y)


def heteroscedastic_nll(raw: Array, y: Array, *, by: str = "precision", floor: float = 0.0) -> PerExample:
    """``−log p(y)`` of `heteroscedastic`: raw ``(batch, 2d)``, y ``(batch, d)``."""
    return likelihood(partial(heteroscedastic, by=by, floor=floor), raw, y)


def full_covariance_nll(raw: Array, y: Array, *, floor: float = 0.0) -> PerExample:
    """``−log p(y)`` of `full_covariance`: raw ``(batch, d + d(d + 1)/2)``, y ``(batch, d)``."""
    return likelihood(partial(full_covariance, outputs=y.shape[-1], floor=floor), raw, y)


def mixture_nll(raw: Array, y: Array, *, components: int, floor: float = 0.0) -> PerExample:
    """``−log p(y)`` of `mixture`: raw ``(batch, n(1 + 2d))``, y ``(batch, d)``."""
    return likelihood(partial(mixture, components=components, outputs=y.shape[-1], floor=floor), raw, y)


def _one_score(logits: Array, y: Array) -> bool:
    """Whether the output is one score for each target (two classes) rather than one for each class."""
    return logits.size == y.size


def hinge(logits: Array, y: Array) -> PerExample:
    """How far the right class is from beating every other by a margin of 1.

    With one score z and classes 0 and 1 it is ``max(0, 1 − (2y − 1) z)``; with a score for each class,
    ``max(0, 1 + max_{j≠y} z_j − z_y)`` (Crammer and Singer, 2001): only the strongest rival counts, so
    two scores behave as one, their difference.

    Args:
      logits: ``(batch, ..., K)``, or ``(batch, ...)`` or ``(batch, ..., 1)`` for one score.
      y: ``(batch, ...)`` int classes; `IGNORE` (-1) marks a position without a target.

    Source: notes F2.1 (support vector machines).

    Example:
      >>> import jax.numpy as jnp
      >>> [float(v) for v in hinge(jnp.array([2.0, 0.5, -1.0]), jnp.array([1, 1, 1])).total]
      [0.0, 0.5, 2.0]
    """
    logits = logits.astype(jnp.float32)
    if _one_score(logits, y):
        lead = (2 * y.astype(jnp.float32) - 1) * logits.reshape(y.shape)
    else:
        target = jax.nn.one_hot(y, logits.shape[-1], dtype=bool)
        right = jnp.sum(jnp.where(target, logits, 0.0), axis=-1)
        lead = right - jnp.max(jnp.where(target, -jnp.inf, logits), axis=-1)
    loss = jnp.where(y == IGNORE, 0.0, jnp.maximum(0.0, 1 - lead))
    return PerExample(_sum_positions(loss), target_count(y))


def brier(logits: Array, y: Array) -> PerExample:
    """Squared error of probabilities: ``Σ_i (softmax(z)_i − 1[i = y])²``, or ``(σ(z) − y)²`` of one score.

    A proper score, but a poor loss: where softmax or sigmoid saturate its gradient vanishes, right or
    wrong (notes F2.7, F2.8).

    Args:
      logits: ``(batch, ..., K)``, or ``(batch, ...)`` or ``(batch, ..., 1)`` for one score.
      y: ``(batch, ...)`` int classes; `IGNORE` (-1) marks a position without a target.

    Source: Brier, 1950.

    Example:
      >>> import jax.numpy as jnp
      >>> float(brier(jnp.zeros((1, 2)), jnp.array([1])).total[0])
      0.5
    """
    logits = logits.astype(jnp.float32)
    if _one_score(logits, y):
        score = jnp.square(jax.nn.sigmoid(logits.reshape(y.shape)) - y.astype(jnp.float32))
    else:
        target = jax.nn.one_hot(y, logits.shape[-1])
        score = jnp.sum(jnp.square(jax.nn.softmax(logits) - target), axis=-1)
    return PerExample(_sum_positions(jnp.where(y == IGNORE, 0.0, score)), target_count(y))


_LEAST = 1e-6
"""The smallest probability of `clipped_linear_nll`; its logarithm is finite and 1 − p is not rounded away."""


def clipped_linear_nll(z: Array, y: Array) -> PerExample:
    """``−log p(y)`` of a Bernoulli with ``p(y = 1) = max{0, min{1, z}}``, what not to train with.

    Outside the unit interval its gradient is exactly 0, right or wrong. Probabilities stay 1e-6 away
    from 0 and 1 so that the loss of a certain mistake is finite (13.8).

    Args:
      z: ``(batch,)`` or ``(batch, 1)`` the linear output.
      y: ``(batch,)`` int labels 0 and 1; `IGNORE` (-1) where there is none.

    Source: notes F2.7.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> y = jnp.array([1, 1, 1])
      >>> slope = jax.grad(lambda z: clipped_linear_nll(z, y).total.sum())(jnp.array([-0.5, 0.5, 1.5]))
      >>> [float(g) for g in slope]
      [0.0, -2.0, 0.0]
    """
    z = z.astype(jnp.float32).reshape(y.shape)
    right = jnp.where(y == 1, z, 1 - z)
    inside = (right > _LEAST) & (right < 1 - _LEAST)
    # The unused side is set to 1/2 so that no division by it reaches the gradient.
    nll = -jnp.log(jnp.where(inside, right, 0.5))
    nll = jnp.where(inside, nll, jnp.where(right < 0.5, -jnp.log(_LEAST), -jnp.log1p(-_LEAST)))
    return PerExample(_sum_positions(jnp.where(y == IGNORE, 0.0, nll)), target_count(y))


LOSSES: dict[str, LossFn] = {
    "cross_entropy": cross_entropy,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "gaussian_nll": gaussian_nll,
    "hinge": hinge,
    "brier": brier,
}
"""Losses by the name a config uses."""
