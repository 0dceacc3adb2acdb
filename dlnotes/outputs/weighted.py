"""Losses whose examples count more or less: by their class, or by a weight of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlnotes.outputs.losses import LossFn, PerExample
from dlnotes.typing import Array


def join_weights(y: Any, weights: Any) -> Any:
    """Targets with a weight beside each as one array of targets, which any training takes.

    Args:
      y: ``(n,)`` int classes below 2²⁴, or ``(n, outputs)`` numbers; numpy.
      weights: ``(n,)``.

    Returns:
      ``(n, 2)`` or ``(n, outputs + 1)`` float32, the weight last.

    Example:
      >>> join_weights(np.array([2, 0]), np.array([0.5, 1.5])).tolist()
      [[2.0, 0.5], [0.0, 1.5]]
    """
    return np.concatenate([y.reshape(len(y), -1), weights[:, None]], axis=1).astype(np.float32)


def parted(y: Any, *, classes: bool, outputs: int) -> tuple[Any, Any]:
    """The targets and their weights (``None`` where they have none) of what `join_weights` made.

    Args:
      y: of `join_weights`, or plain targets.
      classes: whether the targets are classes.
      outputs: of the data.

    Example:
      >>> y, weights = parted(np.array([[2.0, 0.5]], np.float32), classes=True, outputs=3)
      >>> y.tolist(), weights.tolist()
      ([2], [0.5])
    """
    own = 1 if classes else outputs
    if y.ndim != 2 or y.shape[1] != own + 1:
        return y, None
    targets, weights = y[:, :own], y[:, own]
    return (targets[:, 0].astype(np.int32) if classes else targets), weights


def weighted(
    loss: LossFn, *, classes: bool, outputs: int, class_weights: Sequence[float] | None = None
) -> LossFn:
    """``w_i ℓ_i`` and ``w_i`` for count, so that the objective of a batch is ``Σ w ℓ / Σ w``.

    Args:
      loss: of plain targets.
      classes: whether the targets are classes.
      outputs: of the data.
      class_weights: ``(K,)``, of each class; multiplied with the weights beside the targets if there are any.

    Example:
      >>> from dlnotes.outputs import cross_entropy
      >>> own = weighted(cross_entropy, classes=True, outputs=2, class_weights=[1.0, 3.0])
      >>> own(jnp.zeros((2, 2)), jnp.array([0, 1])).count.tolist()
      [1.0, 3.0]
    """

    def of_weighted(output: Array, y: Array) -> PerExample:
        own, w = parted(y, classes=classes, outputs=outputs)
        found = loss(output, own)
        total, count = found
        if class_weights is not None:
            table = jnp.asarray(np.asarray(class_weights, np.float32))
            by_class = jnp.where(own >= 0, table[jnp.maximum(own, 0)], 0.0)
            total, count = total * by_class, count * by_class
        if w is not None:
            total, count = total * w, count * w
        return PerExample(total, count)

    return of_weighted


def unweighted(measure: LossFn, *, classes: bool, outputs: int) -> LossFn:
    """A loss or metric of plain targets, for targets that may have weights beside them."""

    def of_plain(output: Array, y: Array) -> PerExample:
        return measure(output, parted(y, classes=classes, outputs=outputs)[0])

    return of_plain


def balanced(y: np.ndarray, classes: int) -> list[float]:
    """``n / (K n_c)`` of each class c, with which all classes count alike.

    Args:
      y: ``(n,)`` classes of the training part; negative ones do not count.
      classes: K.

    Raises:
      ValueError: when a class does not occur.

    Example:
      >>> balanced(np.array([0, 0, 0, 1]), 2)
      [0.6666666666666666, 2.0]
    """
    counts = np.bincount(y[y >= 0], minlength=classes)
    if not counts.all():
        raise ValueError(f"y: class {int(np.argmin(counts))} does not occur")
    return (counts.sum() / (classes * counts)).tolist()
