"""What is measured beside the loss."""

from __future__ import annotations

import jax.numpy as jnp

from dlnotes.outputs.losses import (
    LossFn,
    PerExample,
    _sum_positions,
    absolute_error,
    squared_error,
    target_count,
)
from dlnotes.typing import IGNORE, Array


def accuracy(logits: Array, y: Array) -> PerExample:
    """1 where the most probable class is the target; per position for sequences."""
    correct = (jnp.argmax(logits, axis=-1) == y) & (y != IGNORE)
    return PerExample(_sum_positions(correct), target_count(y))


def exact_match(logits: Array, y: Array) -> PerExample:
    """1 for an example all of whose positions are right (under teacher forcing, for sequences)."""
    right = (jnp.argmax(logits, axis=-1) == y) | (y == IGNORE)
    whole = jnp.all(right.reshape(y.shape[0], -1), axis=-1)
    return PerExample(whole.astype(jnp.float32), jnp.ones(y.shape[0], jnp.float32))


METRICS: dict[str, LossFn] = {
    "accuracy": accuracy,
    "exact_match": exact_match,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
}
"""Metrics by the name a config and a metrics file use."""
