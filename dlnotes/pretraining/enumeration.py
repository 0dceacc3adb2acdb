"""All states of a few binary units, for exact sums where there are few enough of them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from dlnotes.typing import Array

MOST = 20
"""Units whose states are enumerated at most: a million states."""


def all_states(units: int, name: str = "units") -> Array:
    """Every vector of bits, ``(2^units, units)`` float, the first unit as the highest digit.

    Args:
      units: how many.
      name: what an error calls them.

    Raises:
      ValueError: when there are too many to enumerate.

    Example:
      >>> all_states(2).tolist()
      [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    if not 0 <= units <= MOST:
        raise ValueError(f"{name}: got {units} units whose states are enumerated, allowed are at most {MOST}")
    numbers = np.arange(2**units)[:, None]
    bits = (numbers >> np.arange(units - 1, -1, -1)[None]) & 1
    return jnp.asarray(bits, jnp.zeros(()).dtype)
