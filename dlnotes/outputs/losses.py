"""Losses: −log p of each example, and the one rule that reduces them.

A loss returns a `PerExample`: the sum over an example's targets and how many targets it has. The
objective of a batch is ``Σ w·total / Σ w·count``. Because sums and counts add up, neither padding,
nor the number of devices, nor gradient accumulation can change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.outputs.distributions import Bernoulli, Categorical, Normal
from dlnotes.typing import IGNORE, Array


class PerExample(NamedTuple):
    """A quantity summed over the targets of each example.

    Attributes:
      total: ``(batch,)`` float32 sums.
      count: ``(batch,)`` float32 number of targets summed (1 for a plain label).
    """

    total: Array
    count: Array


Measure = Callable[[Array, Array], PerExample]
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
    """``mean_j |ŷ_j − y_j|`` of each example; its minimiser is the conditional median."""
    prediction, y = _numbers(prediction, y)
    total = _sum_positions(jnp.abs(prediction - y)) / (y.size / y.shape[0])
    return PerExample(total, target_count(y))


def gaussian_nll(prediction: Array, y: Array) -> PerExample:
    """``−log N(y; ŷ, 1)`` summed over outputs: half the squared error plus a constant."""
    prediction, y = _numbers(prediction, y)
    log_p = Normal(prediction).log_prob(y)
    return PerExample(_sum_positions(-log_p), target_count(y))


def accuracy(logits: Array, y: Array) -> PerExample:
    """1 where the most probable class is the target; per position for sequences."""
    correct = (jnp.argmax(logits, axis=-1) == y) & (y != IGNORE)
    return PerExample(_sum_positions(correct), target_count(y))


def exact_match(logits: Array, y: Array) -> PerExample:
    """1 for an example all of whose positions are right (under teacher forcing, for sequences)."""
    right = (jnp.argmax(logits, axis=-1) == y) | (y == IGNORE)
    whole = jnp.all(right.reshape(y.shape[0], -1), axis=-1)
    return PerExample(whole.astype(jnp.float32), jnp.ones(y.shape[0], jnp.float32))


LOSSES: dict[str, Measure] = {
    "cross_entropy": cross_entropy,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "gaussian_nll": gaussian_nll,
}
"""Losses by the name a config uses."""

METRICS: dict[str, Measure] = {
    "accuracy": accuracy,
    "exact_match": exact_match,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
}
"""Metrics by the name a config and a metrics file use."""
