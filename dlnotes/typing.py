"""Names for the arrays that every other module passes around.

Shapes are written in docstrings, axes by name; the aliases here say what a
value *is* (a key, a tree of parameters, a batch), because that is what a signature needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array
PRNGKey: TypeAlias = jax.Array
"""One typed key (shape ``()``), or one key per example (shape ``(batch,)``)."""

Weight: TypeAlias = jax.Array | np.ndarray
"""An array of parameters: on a device, or in numpy as training gives it back."""

Params: TypeAlias = Any
"""A pytree of arrays, by convention a NamedTuple whose docstring holds the equation."""

IGNORE = -1
"""The label of a position that has no target: it adds nothing to a loss or a metric."""


class Batch(NamedTuple):
    """Some examples, padded to a fixed shape.

    Attributes:
      x: inputs, an array or a NamedTuple of arrays, every leaf with a leading axis ``batch``.
      y: targets with a leading axis ``batch``; integer targets use ``IGNORE`` (-1) where a
        position has none.
      mask: ``(batch, positions)`` booleans, True where a position of ``x`` is real; ``None``
        where examples have no inner length.
      weight: ``(batch,)`` float32, 1 for a real example and 0 for one that only fills the batch.
    """

    x: Any
    y: Any
    mask: Array | np.ndarray | None
    weight: Array | np.ndarray
