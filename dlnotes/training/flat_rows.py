"""Examples that lie on a device as a whole, each as one vector."""

from __future__ import annotations

from math import prod
from typing import Any

import jax
import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.devices.placement import Placement

LANES = 128
"""A TPU lays the last axis of an array out in vectors of so many numbers."""


def shape_of(a: Any) -> jax.ShapeDtypeStruct:
    """The shape and dtype of an array."""
    return jax.ShapeDtypeStruct(np.shape(a), a.dtype)


def flat_shapes(examples: Examples, placement: Placement) -> Examples:
    """What `flat_rows` makes of arrays, or of their shapes."""
    on_tpu = placement.devices[0].platform == "tpu"

    def leaf(a: Any) -> jax.ShapeDtypeStruct:
        n, *row = np.shape(a)
        if not row:
            return shape_of(a)
        numbers = prod(row)
        padded = -(-numbers // LANES) * LANES
        return jax.ShapeDtypeStruct((n, padded if on_tpu and padded <= 1.25 * numbers else numbers), a.dtype)

    return Examples(*jax.tree.map(leaf, tuple(examples)))


def flat_rows(examples: Examples, placement: Placement) -> Examples:
    """Each example of every array as one vector, which an accelerator fetches at once.

    Images it would fetch one after the other, from a copy of all of them that it makes first. A TPU makes
    that copy of vectors too, unless their length is a multiple of `LANES`: vectors that are nearly so long
    end with zeros there.

    Args:
      examples: host arrays ``(n, …)``.
      placement: its devices.

    Returns:
      Arrays ``(n, numbers)``, and ``(n,)`` as they are; without a copy, but for the zeros.
    """

    def leaf(a: np.ndarray, like: jax.ShapeDtypeStruct) -> np.ndarray:
        if a.ndim < 2:
            return a
        a = np.asarray(a).reshape(len(a), -1)
        missing = like.shape[1] - a.shape[1]
        return np.pad(a, ((0, 0), (0, missing))) if missing else a

    return Examples(*jax.tree.map(leaf, tuple(examples), tuple(flat_shapes(examples, placement))))
