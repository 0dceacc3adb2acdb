"""Columns that become several inputs: many texts, hashed, and dates by their place in year and week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""In days."""

MOST_BUCKETS = 4096


def hashed_names(column: str, buckets: int) -> list[str]:
    """The inputs of a hashed column.

    >>> hashed_names("city", 2)
    ['city#0', 'city#1']
    """
    return [f"{column}#{i}" for i in range(buckets)]


def hash_cells(cells: Sequence[str], buckets: int) -> np.ndarray:
    """Each text as 1 or -1 in one of some inputs, by scikit-learn's `FeatureHasher`, ``(n, buckets)``.

    A text that was never seen has its place too, and an empty cell is a text as any other.
    """
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(n_features=buckets, input_type="string", dtype=np.float64)
    return hasher.transform([[f"{cell}."] for cell in cells]).toarray()  # a text of no letters is none


def calendar_names(column: str, *, times: bool) -> list[str]:
    """The inputs of a date beside its number: sine and cosine of its place in the year, the week and the day.

    >>> calendar_names("when", times=False)
    ['when:year_sin', 'when:year_cos', 'when:week_sin', 'when:week_cos']
    """
    periods = [name for name in PERIODS if times or name != "day"]
    return [f"{column}:{period}_{wave}" for period in periods for wave in ("sin", "cos")]


def calendar_values(days: np.ndarray, *, times: bool) -> np.ndarray:
    """``(n, inputs)`` of `calendar_names`, of days since 1970-01-01."""
    names = [name for name in PERIODS if times or name != "day"]
    angles = [2 * np.pi * days / PERIODS[name] for name in names]
    return np.stack([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=1)


def check_hashed(hashed: Mapping[str, int]) -> None:
    """Refuse numbers of inputs that cannot be.

    Raises:
      ValueError: naming the column.
    """
    for column, buckets in hashed.items():
        if not 2 <= buckets <= MOST_BUCKETS:
            raise ValueError(f"hashed: got {buckets} inputs for {column!r}, allowed is 2 to {MOST_BUCKETS}")
