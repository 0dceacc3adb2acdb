"""Checks of what learners are given: data as rows of finite numbers, weights of penalties."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np


def check_rows(x: np.ndarray, *, low: float = -inf, high: float = inf, why: str = "") -> None:
    """Check that data are rows of finite numbers in a range.

    Args:
      x: ``(n, inputs)``.
      low, high: the smallest and the largest number allowed.
      why: for the message, whom the range is for.

    Raises:
      ValueError: naming the first value that is not allowed and where it stands.

    Example:
      >>> check_rows(np.array([[0.0, 2.0]]), low=0, high=1, why="a Bernoulli output")
      Traceback (most recent call last):
      ValueError: x: got values from 0 to 2, allowed is [0, 1] for a Bernoulli output
    """
    x = np.asarray(x)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x: got shape {x.shape}, allowed is (examples, inputs), one or more of each")
    if x.dtype.kind not in "fiub":
        raise ValueError(f"x: got dtype {x.dtype}, allowed are real numbers")
    smallest, largest = x.min(), x.max()  # NaN where there is one
    if not (np.isfinite(smallest) and np.isfinite(largest)):
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"x: got {x[row, column]} in row {row}, column {column}; allowed are finite numbers")
    if smallest < low or largest > high:
        raise ValueError(
            f"x: got values from {smallest:g} to {largest:g}, allowed is [{low:g}, {high:g}] for {why}"
        )


def not_negative(**values: Any) -> None:
    """Check that every plain number is finite and at least 0; traced ones pass.

    Raises:
      ValueError: naming the argument and the value got.
    """
    for name, value in values.items():
        if isinstance(value, (int, float)) and not 0 <= value < inf:
            raise ValueError(f"{name}: got {value}, allowed is a number of 0 or more")
