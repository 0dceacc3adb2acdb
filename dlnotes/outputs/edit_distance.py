"""How far written sequences are from their references: edit distance and the error rates it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dlnotes.typing import IGNORE


class ErrorRates(NamedTuple):
    """Of some written sequences.

    Attributes:
      token: edits to the nearest reference, summed, over the symbols of those references.
      sequence: share of the sequences that are no reference.
    """

    token: float
    sequence: float


def edit_distances(a: Any, b: Any) -> np.ndarray:
    """Levenshtein distance of each pair: the fewest insertions, deletions and substitutions.

    ``D[i, j] = min(D[i-1, j] + 1, D[i, j-1] + 1, D[i-1, j-1] + [a_i ≠ b_j])``, all pairs at once.

    Args:
      a, b: ``(n, time)`` whole numbers each, -1 behind the end.

    Returns:
      ``(n,)`` int64.

    Raises:
      ValueError: when there are not as many of the one as of the other.

    Source: Wagner and Fischer, 1974.

    Example:
      >>> edit_distances([[1, 2, 3, -1]], [[2, 3, 4, 5]]).tolist()
      [3]
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(f"a, b: got shapes {a.shape} and {b.shape}, allowed is (n, time) with one n")
    (n, height), width = a.shape, b.shape[1]
    ends = (a != IGNORE).sum(1)
    places = np.arange(width + 1)
    row = np.broadcast_to(places, (n, width + 1))
    last = row.copy()
    for i in range(height):
        upper = row[:, 1:] + 1
        cornered = row[:, :-1] + (a[:, i : i + 1] != b)
        row = np.concatenate([row[:, :1] + 1, np.minimum(upper, cornered)], 1)
        # Insertions along the row: D[j] = min over k ≤ j of D[k] + (j - k).
        row = np.minimum.accumulate(row - places, axis=1) + places
        last = np.where((ends == i + 1)[:, None], row, last)
    return np.take_along_axis(last, (b != IGNORE).sum(1)[:, None], 1)[:, 0]


def error_rates(written: Any, references: Sequence[Sequence[Sequence[int]]]) -> ErrorRates:
    """Token and sequence error rates against the nearest of each sequence's references.

    Args:
      written: ``(n, time)`` classes, 0 the end and -1 behind it.
      references: for each of the n its right answers, one or more, without the end.

    Raises:
      ValueError: when there are none of a sequence, or not as many as there are sequences.

    Example:
      >>> error_rates([[3, 4, 0], [5, 0, -1]], [[(3, 4), (3, 5)], [(6, 5)]])
      ErrorRates(token=0.25, sequence=0.5)
    """
    written = np.where(np.asarray(written) == 0, IGNORE, np.asarray(written))
    counts = np.array([len(each) for each in references])
    if len(counts) != len(written) or not counts.all():
        raise ValueError(f"references: got {len(counts)}, needed is one or more for each of {len(written)}")
    flat = [answer for each in references for answer in each]
    lengths = np.array([len(answer) for answer in flat])
    padded = np.full((len(flat), max(1, lengths.max())), IGNORE)
    for row, answer in zip(padded, flat):
        row[: len(answer)] = answer
    edits = edit_distances(np.repeat(written, counts, 0), padded)
    first = np.cumsum(counts) - counts
    # Of equally near references the longest, which counts an edit for least.
    cost = edits * (lengths.max() + 1) - lengths
    nearest = [s + int(np.argmin(cost[s : s + c])) for s, c in zip(first, counts)]
    return ErrorRates(
        token=float(edits[nearest].sum() / max(1, lengths[nearest].sum())),
        sequence=float(np.mean(edits[nearest] > 0)),
    )
