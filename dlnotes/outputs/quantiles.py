"""Several quantiles of each target at once: an interval that a network learns, without a distribution.

Source: Koenker and Bassett, 1978; Chernozhukov, Fernández-Val and Galichon, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.outputs.losses import PerExample, pinball
from dlnotes.typing import Array


class Quantiles(NamedTuple):
    """Quantiles of each target, in growing order.

    Attributes:
      values: ``(..., outputs, levels)``.
      middle: which of the levels is 1/2.
    """

    values: Array
    middle: int

    @property
    def mean(self) -> Array:
        """What is predicted where one number is wanted, ``(..., outputs)``: the median."""
        return self.values[..., self.middle]


def quantiles_of(raw: Array, levels: Sequence[float]) -> Quantiles:
    """A network's numbers as quantiles; those that cross are put in order, which brings them nearer.

    Args:
      raw: ``(..., outputs · levels)``, the levels of the first target first.
      levels: in (0, 1), in growing order, 0.5 among them.

    Raises:
      ValueError: when the levels are not so, or do not divide the last axis.

    Example:
      >>> quantiles_of(jnp.array([3.0, 1.0, 2.0]), (0.1, 0.5, 0.9)).mean
      Array([2.], dtype=float32)
    """
    check_levels(levels)
    if raw.shape[-1] % len(levels):
        raise ValueError(
            f"raw: got shape {raw.shape}, the last axis must have {len(levels)} numbers a target"
        )
    values = raw.reshape(*raw.shape[:-1], -1, len(levels))
    return Quantiles(jnp.sort(values, axis=-1), list(levels).index(0.5))


def check_levels(levels: Sequence[float]) -> None:
    """Check that quantiles are in (0, 1) and in growing order, with the median among them.

    Raises:
      ValueError: saying what is allowed.
    """
    grow = all(a < b for a, b in pairwise(levels))
    if 0.5 not in levels or not grow or not all(0 < level < 1 for level in levels):
        raise ValueError(
            f"quantiles: got {list(levels)}, allowed are numbers between 0 and 1 in growing order with 0.5, "
            "which is the prediction, among them, such as [0.1, 0.5, 0.9]"
        )


def quantile_loss(raw: Array, y: Array, *, levels: Sequence[float]) -> PerExample:
    """The mean of `pinball` over the levels: its minimizers are the conditional quantiles.

    Args:
      raw: ``(batch, outputs · levels)`` as of `quantiles_of`, in any order.
      y: ``(batch, outputs)``.
      levels: of the quantiles.

    Example:
      >>> y = jnp.array([[1.0]])
      >>> loss = quantile_loss(jnp.array([[0.0, 1.0, 2.0]]), y, levels=(0.1, 0.5, 0.9))
      >>> round(float(loss.total[0]), 4)
      0.0667
    """
    values = raw.reshape(*y.shape, len(levels))
    each = [pinball(values[..., i], y, quantile=level) for i, level in enumerate(levels)]
    total = sum((one.total for one in each[1:]), each[0].total) / len(levels)
    return PerExample(total, each[0].count)
